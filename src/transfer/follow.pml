/*
 * What follows after commit, with its faults, for spin: two sessions, in batches of one or both, each batch with a token of
 * its own. As in transfer.pml, which event leads where, and where the token is claimed, is in phases.pml, made of the table
 * FOLLOWING in phases.ts for each run; there is no clock, so that a deadline may pass whenever nothing has come; and a
 * process that is stopped and continued is one that the scheduler passes over, for as long as it likes.
 *
 * Assumed: what was sent before an end closed can still be read; SIGKILL kills in the end.
 *
 * How much of the world there is: FAULTS (0: nor does a deadline pass or a side refuse), BATCHES that are sent at most.
 */

#define P 0
#define S 1
#define OTHER(me) (1 - (me))

mtype phase[2];

#include "phases.pml"

#define ROOM 4

/* A message: kind, which sessions (one bit each). A batch has no number here: one is under way at a time. */
chan inbox[2] = [ROOM] of { mtype, byte };

bool running[2] = true;
bool open[2] = true;
bool cut;
bool token; /* of the batch under way: lies in its socketpair */
byte faults = FAULTS;

/* Sets of sessions, one bit each. */
byte left = 3;  /* the predecessor's: it has not closed its copies */
byte batch;     /* under way, as the predecessor knows it */
byte built;     /* what the successor holds still */
byte taken;     /* the successor's, from the token on */
byte reading;   /* and those it has begun to read */

#define reachable(me) (open[OTHER(me)] && !cut)
#define room(me) (!reachable(me) || len(inbox[OTHER(me)]) < ROOM)
#define eof(me) (!reachable(me) && empty(inbox[me]))
#define quiet(me) (FAULTS > 0 && empty(inbox[me]))

/* ---------------------------------------------------------------- predecessor */

/* The step, or `yielded` in place of one that needs the token. */
inline predecessor_event() {
  atomic {
    known = false;
    do
    :: known -> break
    :: !known ->
      predecessor_step();
      if
      :: !known -> assert(event != e_invalid); event = e_invalid
      :: known && fence == f_claim ->
        if
        :: token -> token = false
        :: !token -> known = false; event = e_yielded
        fi
      :: else
      fi
    od;
    if
    /* Taken over, but for what was refused: closes its copies, before its loop turns. */
    :: phase[P] != p_serve && (to == p_serve || to == p_taken) -> left = left & ~(batch & ~refused); batch = 0
    :: to == p_kept -> batch = 0
    :: else
    fi;
    phase[P] = to;
    event = 0
  }
}

proctype predecessor() {
  mtype event, to, fence;
  byte which, refused;
  byte sent;
  bool known;
  {
    do
    :: predecessor_ends -> break
    :: !predecessor_ends ->
      if
      :: phase[P] == p_serve && left != 0 && sent < BATCHES ->
        atomic {
          if
          :: left == 3 -> batch = 3
          :: batch = (left & 1 -> 1 : 2)
          fi;
          sent++;
          refused = 0;
          if
          :: room(P) ->
            token = true;
            if
            :: reachable(P) -> inbox[S]!e_move, batch
            :: !reachable(P)
            fi;
            event = e_sent
          :: FAULTS > 0 -> batch = 0; event = e_failed
          fi
        }
      /* Nothing is left to move, or no time. */
      :: phase[P] == p_serve && (left == 0 || sent == BATCHES) -> event = e_finished
      :: atomic {
          nempty(inbox[P]) -> inbox[P]?event, which;
          if
          :: event == e_held -> refused = which
          :: else
          fi
        }
      :: eof(P) -> event = e_eof
      :: predecessor_may_silence && quiet(P) -> event = e_silence
      fi;
      predecessor_event()
    od;
    open[P] = false
  } unless { !running[P] }
}

/* ---------------------------------------------------------------- successor */

inline successor_event() {
  atomic {
    known = false;
    do
    :: known -> break
    :: !known ->
      successor_step();
      if
      :: !known -> assert(event != e_invalid); event = e_invalid
      :: known && fence == f_claim ->
        if
        :: token -> token = false
        :: !token -> known = false; event = e_yielded
        fi
      :: else
      fi
    od;
    phase[S] = to;
    if
    :: phase[S] == s_own -> taken = taken | built
    :: phase[S] == s_discarded -> built = 0
    :: else
    fi;
    event = 0
  }
}

proctype successor() {
  mtype event, to, fence;
  byte which, refused;
  bool known, isSaid;
  {
    do
    :: successor_ends -> break
    :: !successor_ends ->
      if
      :: phase[S] == s_wait && nempty(inbox[S]) -> inbox[S]?event, which
      :: phase[S] == s_wait && eof(S) -> event = e_eof
      /* The drain is over by now, or the predecessor hangs. */
      :: successor_may_silence && quiet(S) -> event = e_silence
      /* It is to give everything away itself. */
      :: phase[S] == s_wait && FAULTS > 0 -> event = e_finished
      :: phase[S] == s_take ->
        /* Restores all it can, and says so: to an end that is gone, or has no room, it is not said. */
        if
        :: refused = 0
        :: FAULTS > 0 -> refused = which & 1
        :: FAULTS > 0 -> refused = which & 2
        fi;
        built = which & ~refused;
        atomic {
          isSaid = false;
          if
          :: reachable(S) && room(S) -> inbox[P]!e_held, refused; isSaid = true
          :: !reachable(S) || !room(S)
          fi
        };
        event = (refused == 0 || isSaid -> e_sent : e_failed)
      :: phase[S] == s_own ->
        atomic {
          if
          :: reachable(S) && room(S) -> inbox[P]!e_moved, 0
          :: !reachable(S) || !room(S)
          fi
        };
        reading = reading | built;
        built = 0;
        event = e_sent
      fi;
      successor_event()
    od;
    open[S] = false
  } unless { !running[S] }
}

/* ---------------------------------------------------------------- faults */

inline fault_of(me) {
  if
  :: running[me] = false; open[me] = false
  :: reachable(OTHER(me)) && room(OTHER(me)) -> inbox[me]!e_garbage, 0
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
    phase[P] = p_serve;
    phase[S] = s_wait;
    run predecessor();
    run successor();
    run world()
  }
}

/* ---------------------------------------------------------------- properties */

/* It reads what it has left, but for the batch, which stands still from its capture, before `move` is sent. */
#define p_owns(bit) (running[P] && (left & bit) && (!(batch & bit) || (predecessor_owns && phase[P] != p_serve)))
#define s_owns(bit) (running[S] && (taken & bit))

#define is_over ((!running[P] || predecessor_ends) && (!running[S] || successor_ends))

#define reader_property (!(p_owns(1) && s_owns(1)) && !(p_owns(2) && s_owns(2)))
/* Nobody reads before it has the token. */
#define order_property ((reading & ~taken) == 0)
/* In the end a session has an owner, unless the one it belonged to has died. */
#define died(bit) ((!running[P] && (left & bit)) || (!running[S] && (taken & bit)))
#define kept_property (!is_over || ((p_owns(1) || s_owns(1) || died(1)) && (p_owns(2) || s_owns(2) || died(2))))

ltl one_reader { [] reader_property }
ltl kept { [] kept_property }
ltl safe { [] (reader_property && order_property && kept_property) }
ltl ends { <> is_over }
/* With no fault all of it moves. */
ltl moves { <> (reading == 3) }
