// Tells what a command is at whenever it has said nothing for a while, so that nobody wonders whether it still runs.

/** Milliseconds of silence. */
const SILENCE_MILLIS = 4000
/** Milliseconds between two looks at the clock. */
const LOOK_MILLIS = 500

export interface Heartbeat {
  /** What is done from now on: "reading the data". */
  doing(what: string): void
  /** Something else was said. */
  said(): void
  /** True once it is time to say something. */
  due(): boolean
  end(): void
}

export function createHeartbeat(say: (text: string) => void): Heartbeat {
  let [what, began, heard] = ['', 0, performance.now()]
  const silent = () => performance.now() - heard >= SILENCE_MILLIS
  const timer = setInterval(() => {
    if (!silent()) return
    heard = performance.now()
    say(`Still ${what}, ${Math.round((heard - began) / 1000)} s ...`)
  }, LOOK_MILLIS)
  // A command that failed ends.
  timer.unref()
  return {
    doing(next) {
      what = next
      began = performance.now()
    },
    said() {
      heard = performance.now()
    },
    due: silent,
    end: () => clearInterval(timer),
  }
}
