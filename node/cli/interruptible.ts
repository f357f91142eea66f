// Ctrl-C as an AbortSignal, for commands that have something to finish.

/** A signal that Ctrl-C and SIGTERM abort; a second one ends the process at once. */
export function interruptible(): { signal: AbortSignal; promise: Promise<void>; done(): void } {
  const controller = new AbortController()
  const { promise: aborted, resolve: onAborted } = Promise.withResolvers<void>()
  const interrupt = () => {
    controller.abort()
    onAborted()
  }
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt)
  // Keeps the process alive while only unreferenced timers and sockets are left.
  const alive = setInterval(() => {}, 1 << 30)
  return {
    signal: controller.signal,
    promise: aborted,
    done() {
      clearInterval(alive)
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(name, interrupt)
    },
  }
}
