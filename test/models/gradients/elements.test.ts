// Gradients of what treats numbers one by one, moves them or sums them up.
import t from 'tap'
import { testAnyGradient, testGradients } from '../cases/case.ts'
import { anyActivation, anyBroadcast, ELEMENTWISE } from '../cases/elementwise.ts'
import { anyGather, anyPad, anySlice, INDEXING } from '../cases/indexing.ts'
import { anyReduction, REDUCTIONS } from '../cases/reduction.ts'
import { anyMove, anySplit, SHAPING } from '../cases/shaping.ts'

testGradients(t, ELEMENTWISE)
testAnyGradient(t, 'operator of shapes that broadcast', anyBroadcast, 60)
testAnyGradient(t, 'activation', anyActivation, 40)

testGradients(t, INDEXING)
testAnyGradient(t, 'Slice', anySlice, 40)
testAnyGradient(t, 'Pad', anyPad, 40)
testAnyGradient(t, 'Gather', anyGather, 40)

testGradients(t, SHAPING)
testAnyGradient(t, 'Split and Concat', anySplit, 30)
testAnyGradient(t, 'Transpose, Tile or Expand', anyMove, 40)

testGradients(t, REDUCTIONS)
testAnyGradient(t, 'reduction', anyReduction, 60)
