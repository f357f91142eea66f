// A peer's dashboard as its options ask for it: code for a page that nobody wants is not loaded.
import type { MurmurError } from '../../protocol/errors.ts'
import type { PeerId } from '../../protocol/identity.ts'
import { LIMITS } from '../../protocol/limits.ts'
import { forgetOldest } from '../forget-oldest.ts'
import type { LocalOptions } from '../options.ts'
import { systemClock } from '../peer/clock.ts'
import type { Dashboard } from './dashboard.ts'

/** Undefined where neither a page nor metrics are wanted. */
export async function openDashboard(
  dir: string,
  { dashboard, dashboardPort, metricsPort }: LocalOptions,
  onWarning: (error: MurmurError) => void,
): Promise<Dashboard | undefined> {
  if (!dashboard && metricsPort === undefined) return undefined
  const { createDashboard } = await import('./dashboard.ts')
  const ports = { ...(dashboard && { port: dashboardPort }), ...(metricsPort !== undefined && { metricsPort }) }
  return await createDashboard({ dir, ...ports, wall: systemClock.wall, onWarning })
}

/** Bytes of payloads sent, by peer: of those sent to last, as many as a network may have members. */
export function countServed(): { served: ReadonlyMap<PeerId, number>; onServed(to: PeerId, bytes: number): void } {
  const served = new Map<PeerId, number>()
  return {
    served,
    onServed(to, bytes) {
      const before = served.get(to) ?? 0
      // Inserted anew at each use: the oldest is the one not sent to for longest.
      served.delete(to)
      served.set(to, before + bytes)
      forgetOldest(served, LIMITS.members)
    },
  }
}

/** The file of an exported model: a name that people chose, as one that every file system takes. */
export const exportName = (name: string): string => `${name.replace(/[^\w.-]+/g, '-').replace(/^[.-]+/, '') || 'model'}.onnx`
