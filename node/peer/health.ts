// Memory and event-loop delay of this process.
import { monitorEventLoopDelay } from 'node:perf_hooks'

/** Milliseconds between samples: the histogram counts this much as part of every delay. */
const RESOLUTION = 10

/** A function that tells resident bytes, and the 99th percentile of the event loop's lateness since the start, in milliseconds. */
export function watchHealth(): () => { rssBytes: number; eventLoopP99Millis: number } {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION })
  histogram.enable()
  return () => ({
    rssBytes: process.memoryUsage.rss(),
    eventLoopP99Millis: Math.max(0, Math.round((histogram.percentile(99) / 1e6 - RESOLUTION) * 10) / 10),
  })
}
