// Trains with the product's own trainer, its worker thread included: what a peer does.
import { answer } from './answer.ts'
import { type BenchTrainer, trainerOf } from './trainer-of.ts'

let current: BenchTrainer | undefined

await answer({
  async open(model, batch) {
    await current?.trainer.stop()
    current = await trainerOf(model, batch)
    return 'murmuration'
  },
  run: (steps) => current!.run(steps),
})
await current?.trainer.stop()
