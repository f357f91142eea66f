// `murmur status`: what a running peer does now, asked through its control socket.
import Table from 'cli-table3'
import type { PeerStatus } from '../peer/peer.ts'
import { ask } from './ask.ts'
import { megabytes, percent } from './format.ts'

export async function statusCommand(dir: string, { json }: { json?: boolean }): Promise<void> {
  const status = await ask<PeerStatus>(dir, 'status')
  if (json) {
    console.log(JSON.stringify(status))
    return
  }
  const waiting =
    status.waitingFor === undefined
      ? ''
      : `: waiting for ${status.waitingFor}${status.untilSeconds === undefined ? '' : `, ${status.untilSeconds} s at most`}`
  console.log(`${status.name} (${status.task.slice(0, 16)}…), peer …${status.peer.slice(-8)}`)
  console.log(`Round ${status.round}, ${status.phase}${waiting}`)
  if (status.accuracy !== undefined)
    console.log(`Validation accuracy ${percent(status.accuracy)}, training loss ${status.loss?.toFixed(4) ?? 'not known yet'}`)
  console.log(`Received ${megabytes(status.traffic.received)}, sent ${megabytes(status.traffic.sent)}`)
  if (status.dashboard !== undefined) console.log(`Dashboard ${status.dashboard}`)
  const table = new Table({ head: ['peer', 'connected', 'round', ''], style: { head: [], border: [] } })
  for (const member of status.members) {
    table.push([
      `…${member.peer.slice(-8)}`,
      member.present ? 'yes' : 'no',
      String(member.round),
      member.shutOut ? 'shut out: signed two updates for one round' : '',
    ])
  }
  if (status.members.length > 0) console.log(table.toString())
}
