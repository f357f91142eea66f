// How every command asks the peer that runs in a directory, and says for what it waits.
import { askPeer } from '../peer/control.ts'

export const ask = <T>(dir: string, method: string, params: Record<string, unknown> = {}): Promise<T> =>
  askPeer<T>(dir, method, params, (text) => process.stderr.write(`${text}\n`))
