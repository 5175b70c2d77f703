/** Who is compared, in the order of the table. */
import { nodeCluster } from './cluster.js'
import { handover } from './handover.js'
import { haproxy } from './haproxy.js'
import { nginx } from './nginx.js'
import type { Peer } from './peer.js'
import { pm2 } from './pm2.js'

export const PEERS = {
  'handover-tcp': handover('tcp'),
  'pm2-tcp': pm2('tcp'),
  'cluster-tcp': nodeCluster('tcp'),
  'haproxy-tcp': haproxy('tcp'),
  'nginx-tcp': nginx('tcp'),
  'handover-http': handover('http'),
  'pm2-http': pm2('http'),
  'cluster-http': nodeCluster('http'),
  'haproxy-http': haproxy('http'),
  'nginx-http': nginx('http'),
} as const satisfies Readonly<Record<string, Peer>>

export type PeerName = keyof typeof PEERS
