// Gradients of what picks, puts and pads numbers by position.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyGather, anyPad, anySlice, INDEXING } from './cases/indexing.ts'

testGradients(t, INDEXING)
testAnyGradient(t, 'Slice', anySlice, 40)
testAnyGradient(t, 'Pad', anyPad, 40)
testAnyGradient(t, 'Gather', anyGather, 40)
