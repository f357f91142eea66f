// Ctrl-C as an AbortSignal, for commands that have something to finish.

/** The exit code of what Ctrl-C has ended: 128 and the number of SIGINT. */
export const INTERRUPTED = 130

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
/** Milliseconds within which a signal is the same one again: npx passes on what the terminal has sent to all. */
const ECHO_MILLIS = 1000

/** A signal that Ctrl-C, SIGTERM and a reader of stdout that goes away abort; a second Ctrl-C ends the process at once. */
export function interruptible(): { signal: AbortSignal; promise: Promise<void>; done(): void } {
  const controller = new AbortController()
  const { promise: aborted, resolve: onAborted } = Promise.withResolvers<void>()
  let first: number | undefined
  const interrupt = (name: NodeJS.Signals) => {
    first ??= performance.now()
    if (performance.now() - first < ECHO_MILLIS) stop()
    // Not process.exit, which aborts while a worker is inside a native run.
    else {
      off()
      process.kill(process.pid, name)
    }
  }
  const stop = () => {
    controller.abort()
    onAborted()
  }
  const off = () => {
    for (const name of SIGNALS) process.off(name, interrupt)
  }
  for (const name of SIGNALS) process.on(name, interrupt)
  process.stdout.on('error', stop)
  // Keeps the process alive while only unreferenced timers and sockets are left.
  const alive = setInterval(() => {}, 1 << 30)
  return {
    signal: controller.signal,
    promise: aborted,
    // The listener on stdout stays: what is still written to a reader that is gone is lost, and no reason to crash.
    done() {
      clearInterval(alive)
      off()
    },
  }
}
