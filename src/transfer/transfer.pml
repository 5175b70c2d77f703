/*
 * The transfer with its faults, for spin: `npm run test:model`.
 *
 * Which event leads where, and where a fence stands, is not written here: phases.pml is made of the table in phases.ts
 * for each run (test/model/promela.ts). Here is what a table cannot say: the order of messages, a bounded channel that
 * can end, a kernel that kills with delay, and the world's faults.
 *
 * No clock: a deadline may pass whenever nothing has come, so what holds here holds for every choice of deadlines. Nor is
 * there a SIGSTOP: a process that is stopped and continued is one that the scheduler passes over, for as long as it likes.
 *
 * Assumed: SIGKILL kills in the end; a stopped process is continued, or killed, in the end; what was sent before an end
 * closed can still be read; the kernel closes a process' descriptors before its pidfd becomes readable.
 *
 * A group of pairs is here what its ballot tells one of them: that all commit, or that they do not, at any moment. That no two
 * are told different things is the ballot's doing: its first word stays.
 *
 * How much of the world there is: FAULTS (0: nor does a deadline pass or a side refuse), SESSIONS (1; 2: others open and
 * close meanwhile), BYTES that are read from or written to their sockets in all.
 */

#define P 0
#define S 1
#define OTHER(me) (1 - (me))

mtype phase[2];

#include "phases.pml"

#define ROOM_TO_SUCCESSOR 2    /* messages that fit the channel: sends block */
#define ROOM_TO_PREDECESSOR 12 /* answers queue without bound: never full here */

/* A message: kind, session (or how many), position (or digest). */
chan inbox[2] = [ROOM_TO_PREDECESSOR] of { mtype, byte, byte };

bool running[2] = true; /* takes steps */
bool killed[2];         /* SIGKILL is on its way */
bool dead[2];           /* its pidfd is readable */
bool open[2] = true;    /* its end of the channel */
bool cut;               /* the channel was shut down under both */
bool token = true;      /* lies in its socketpair */

/* The world's own deeds, to tell what the protocol may be blamed for. */
bool murdered[2];
bool provoked; /* the successor was spoken to by a stranger */
bool told;     /* `active` is in the channel */
bool held;     /* the successor held every session */
byte faults = FAULTS;

/* Sessions: what their clients and the kernel know of them. */
bool opened[2], live[2];
byte used[2]; /* bytes ever read from a socket or written to it, by whomever */
byte toUse = BYTES;

typedef Side {
  bool has[2];
  byte position[2]; /* of the stream, in this process' state of the session */
  bool reads;       /* at this moment it may read and write sockets */
  bool complete;    /* the successor's: holds every session, as of one instant */
};
Side side[2];

#define reachable(me) (open[OTHER(me)] && !cut)
#define room(me) (!reachable(me) || len(inbox[OTHER(me)]) < (me == P -> ROOM_TO_SUCCESSOR : ROOM_TO_PREDECESSOR))
#define eof(me) (!reachable(me) && empty(inbox[me]))
#define quiet(me) (FAULTS > 0 && empty(inbox[me]))

/* ---------------------------------------------------------------- channel, fence, sockets */

/* To an end that is gone a message counts as sent: its end of file tells the rest. */
inline say(me, kind_, a_, b_) {
  atomic {
    room(me);
    if
    :: reachable(me) -> inbox[OTHER(me)]!kind_, a_, b_
    :: !reachable(me)
    fi
  }
}

inline claim_token() {
  d_step { ours = ours || token; token = false }
}

/* A side may be killed between any two of these. */
inline ensure_dead(me) {
  claim_token();
  if
  :: ours -> killed[OTHER(me)] = true
  :: !ours
  fi;
  dead[OTHER(me)]
}

#define up_to_date(me, i) (side[me].has[i] == live[i] && (!live[i] || side[me].position[i] == used[i]))

inline begin_reading(me) {
  d_step {
    /* Not a byte lost, not one doubled: the streams are where this process believes them to be. */
    assert(up_to_date(me, 0) && up_to_date(me, 1));
    side[me].reads = true
  }
}

#define usable(me, i) (side[me].reads && side[me].has[i] && toUse > 0)
#define closable(i) (SESSIONS > 1 && side[P].reads && side[P].has[i])
#define openable(i) (side[P].reads && !opened[i])

inline use(me, i) {
  d_step {
    assert(up_to_date(me, i));
    toUse--;
    used[i]++;
    side[me].position[i]++
  }
}

/* ---------------------------------------------------------------- predecessor */

inline predecessor_event() {
  atomic {
    known = false;
    do
    :: known -> break
    :: !known ->
      predecessor_step();
      if
      :: !known -> event = e_invalid
      /* Until commit is said a successor that has the token took it to kill. Afterwards it may be active. */
      :: known && phase[P] == p_commit && fence != f_none ->
        claim_token();
        if
        :: !ours -> known = false; event = e_yielded
        :: ours
        fi
      :: else
      fi
    od
  };
  if
  :: fence == f_dead -> ensure_dead(P)
  :: else
  fi;
  atomic {
    phase[P] = to;
    if
    :: predecessor_owns -> begin_reading(P)
    :: !predecessor_owns -> side[P].reads = false
    fi;
    if
    /* The first word of the freeze: it reads nothing from here on. */
    :: event == e_settled -> say(P, e_freeze, 0, 0)
    :: else
    fi;
    event = 0
  }
}

/* What the successor was given of a session: 0 for nothing, else its position and one. */
#define mine(i) (side[P].has[i] -> side[P].position[i] + 1 : 0)
#define giving (phase[P] == p_copy || phase[P] == p_transfer)
#define all_given (given[0] == mine(0) && given[1] == mine(1))

inline give(i) {
  atomic {
    if
    :: !side[P].has[i] -> say(P, e_gone, i, 0)
    :: side[P].has[i] && given[i] == 0 -> say(P, e_batch, i, side[P].position[i])
    :: side[P].has[i] && given[i] != 0 -> say(P, e_update, i, side[P].position[i])
    fi;
    given[i] = mine(i)
  }
}

/* The channel is full and nobody empties it: a send ends at its deadline too. */
#define stuck (FAULTS > 0 && !room(P) && (giving || (phase[P] == p_commit && !said)))

proctype predecessor() {
  mtype event, to, fence;
  byte a, b;
  bool known, ours, said;
  byte given[2];
  {
    say(P, e_offer, 0, 0);
    do
    :: predecessor_ends -> break
    :: !predecessor_ends ->
      if
      /* It serves: clients come, send or are sent something, and go. */
      :: usable(P, 0) -> use(P, 0)
      :: usable(P, 1) -> use(P, 1)
      :: openable(1) -> d_step { opened[1] = true; live[1] = true; side[P].has[1] = true }
      :: closable(0) -> d_step { live[0] = false; side[P].has[0] = false }
      :: closable(1) -> d_step { live[1] = false; side[P].has[1] = false }
      /* It gives. */
      :: phase[P] == p_copy && room(P) -> event = e_settled
      :: giving && given[0] != mine(0) && room(P) -> give(0)
      :: giving && given[1] != mine(1) && room(P) -> give(1)
      :: phase[P] == p_transfer && all_given && room(P) ->
        atomic {
          a = side[P].has[0] + side[P].has[1];
          b = mine(0) * 8 + mine(1);
          say(P, e_manifest, a, b);
          event = e_sent
        }
      :: phase[P] == p_commit && !said && room(P) -> say(P, e_commit, 0, 0); said = true
      /* It hears, or hears nothing. */
      :: atomic {
          nempty(inbox[P]) -> inbox[P]?event, a, b;
          if
          :: phase[P] == p_vote && event == e_prepared -> event = e_pending
          :: true
          fi
        }
      /* Others decide, one way or the other, whatever has become of its own successor. */
      :: phase[P] == p_agree -> event = e_decided
      :: FAULTS > 0 && phase[P] == p_agree -> event = e_overruled
      :: eof(P) -> event = e_eof
      :: predecessor_may_silence && (quiet(P) || stuck) -> event = e_silence
      :: FAULTS > 0 && predecessor_may_failed ->
        if
        :: giving && room(P) -> say(P, e_abort, 0, 0)
        :: else
        fi;
        event = e_failed
      fi;
      if
      :: event == 0
      :: event != 0 -> predecessor_event()
      fi
    od;
    open[P] = false;
    end:
    do
    :: usable(P, 0) -> use(P, 0)
    :: usable(P, 1) -> use(P, 1)
    od
  } unless { !running[P] }
}

/* ---------------------------------------------------------------- successor */

#define its(i) (side[S].has[i] -> side[S].position[i] + 1 : 0)

/* What a message says, before the step it causes. Whatever it says, it may be refused. */
inline successor_hears() {
  inbox[S]?event, a, b;
  if
  :: event == e_batch || event == e_update -> side[S].has[a] = true; side[S].position[a] = b
  :: event == e_gone -> side[S].has[a] = false
  :: event == e_manifest && (a != side[S].has[0] + side[S].has[1] || b != its(0) * 8 + its(1)) -> event = e_invalid
  :: else
  fi;
  if
  :: FAULTS > 0 && successor_may_failed && event != e_invalid -> say(S, e_refuse, 0, 0); event = e_failed
  :: true
  fi
}

inline successor_event() {
  atomic {
    known = false;
    do
    :: known -> break
    :: !known ->
      successor_step();
      if
      :: !known -> event = e_invalid
      :: known
      fi
    od
  };
  if
  :: fence == f_dead -> ensure_dead(S)
  :: fence == f_token ->
    claim_token();
    if
    :: ours
    :: !ours -> dead[P]
    fi
  :: fence == f_none
  fi;
  phase[S] = to
}

inline successor_answers() {
  if
  :: event == e_offer -> say(S, e_accept, 0, 0)
  :: event == e_batch || event == e_update || event == e_gone -> say(S, e_received, a, 0)
  :: event == e_manifest -> side[S].complete = true; held = true; say(S, e_prepared, 0, 0)
  :: else
  fi
}

proctype successor() {
  mtype event, to, fence;
  byte a, b;
  bool known, ours;
  {
    do
    :: successor_ends -> break
    :: successor_waits ->
      if
      :: atomic { nempty(inbox[S]) -> successor_hears() }
      :: eof(S) -> event = e_eof
      :: successor_may_silence && quiet(S) -> event = e_silence
      fi;
      successor_event();
      successor_answers()
    od;
    if
    :: successor_owns ->
      /* Said before the first byte is read. This side has the token: a predecessor that cannot be told is killed. */
      if
      :: atomic { reachable(S) -> inbox[P]!e_active, 0, 0; told = true }
      :: !reachable(S) -> ensure_dead(S)
      fi;
      open[S] = false;
      begin_reading(S)
    :: !successor_owns ->
      side[S].complete = false;
      open[S] = false
    fi;
    end:
    do
    :: usable(S, 0) -> use(S, 0)
    :: usable(S, 1) -> use(S, 1)
    od
  } unless { !running[S] }
}

/* ---------------------------------------------------------------- kernel and faults */

/* A process that is killed may take some steps more; its end of the channel closes before its pidfd tells. */
proctype kernel() {
  end:
  do
  :: killed[P] && running[P] -> d_step { running[P] = false; open[P] = false }
  :: killed[S] && running[S] -> d_step { running[S] = false; open[S] = false }
  :: !running[P] && !dead[P] -> dead[P] = true
  :: !running[S] && !dead[S] -> dead[S] = true
  od
}

/* Killed from outside, or spoken to by a stranger. */
inline fault_of(me) {
  if
  :: !murdered[me] -> murdered[me] = true; killed[me] = true
  :: room(OTHER(me)) -> inbox[me]!e_garbage, 0, 0; provoked = provoked || me == S
  fi
}

proctype world() {
  end:
  do
  :: atomic { faults > 0 && running[P] -> faults--; fault_of(P) }
  :: atomic { faults > 0 && running[S] -> faults--; fault_of(S) }
  :: atomic { faults > 0 && !cut -> faults--; cut = true }
  od
}

init {
  atomic {
    phase[P] = p_check;
    phase[S] = s_check;
    opened[0] = true;
    opened[1] = SESSIONS == 1;
    live[0] = true;
    side[P].has[0] = true;
    begin_reading(P);
    run predecessor();
    run successor();
    run kernel();
    run world()
  }
}

/* ---------------------------------------------------------------- properties */

#define predecessor_over (dead[P] || predecessor_ends)
#define successor_over (dead[S] || (successor_ends && !open[S] && side[S].reads == side[S].complete))
#define is_over (predecessor_over && successor_over)

#define predecessor_reads (running[P] && side[P].reads)
#define successor_reads (running[S] && side[S].reads)

/* Whoever holds every session: the predecessor until it drains, the successor from the manifest until it aborts. */
#define predecessor_holds (running[P] && phase[P] != p_drain)
#define successor_holds (running[S] && side[S].complete)

/* Of a socket there is never more than one reader, nor more than one writer. */
#define reader_property (!(predecessor_reads && successor_reads))
/* In the end the sessions have an owner for as long as anybody lives who holds all of them. */
#define owner_property (!is_over || predecessor_reads || successor_reads || !(predecessor_holds || successor_holds))
/* And somebody lives unless the world killed the last who held them: not both fences, nor both sides' modesty. */
#define last_murdered \
  ((murdered[S] && (told || killed[P])) || (murdered[P] && (!held || killed[S] || provoked)))
#define kept_property (!is_over || predecessor_reads || successor_reads || last_murdered)

ltl one_reader { [] reader_property }
ltl an_owner { [] owner_property }
ltl kept { [] kept_property }
/* The three at once; that no byte is lost or doubled is asserted where a side begins to read. */
ltl safe { [] (reader_property && owner_property && kept_property) }
/* Every run ends, on both sides; a deadlock would not. */
ltl ends { <> is_over }
/* With no fault it ends well. */
ltl commits { <> (phase[P] == p_drain && phase[S] == s_active && successor_reads) }
