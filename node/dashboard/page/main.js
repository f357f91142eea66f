// The page of one peer. It asks nobody but that peer, and shows what that peer sees.
import { ask, follow, takeToken } from './connection.js'
import { showCurves } from './curves.js'
import { byId, mark, write } from './dom.js'
import { showGraph } from './graph.js'
import { showPeers } from './peers.js'
import { showRound } from './round.js'
import { createStore } from './store.js'
import { showExport, showLists, showNow } from './summary.js'

const LINK = { live: 'Live', lost: 'Not reached, trying again', refused: 'Not allowed' }

const token = takeToken()
const store = createStore()

/** @type {string | undefined} */
let chosenPeer
const choice = {
  chosen: () => chosenPeer,
  choose(/** @type {string | undefined} */ peer) {
    chosenPeer = peer === chosenPeer ? undefined : peer
    store.touch('chosen')
  },
}

showNow(store)
showCurves(store, showRound(store, token))
showGraph(byId('graph'), store, choice)
showPeers(store, choice)
showLists(store)
showExport((path) => ask(path, token, { method: 'POST' }))

/** @param {'live' | 'lost' | 'refused'} state */
function onState(state) {
  const pill = byId('link-state')
  mark(pill, 'data-state', state)
  write(pill, LINK[state])
  const notice = byId('notice')
  notice.hidden = state !== 'refused'
  if (state === 'refused') {
    write(
      notice,
      'This link is not, or no longer, the key to this peer: each start of a peer makes a new one. Open the link that `npx murmur status DIR` prints.',
    )
  }
}

void follow(token, { onSnapshot: store.take, onChanges: store.apply, onState })
