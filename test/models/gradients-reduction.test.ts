// Gradients of reductions and running sums.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyReduction, REDUCTIONS } from './cases/reduction.ts'

testGradients(t, REDUCTIONS)
testAnyGradient(t, 'reduction', anyReduction, 60)
