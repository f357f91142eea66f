// Gradients of arithmetic, activations and choices.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyActivation, anyBroadcast, ELEMENTWISE } from './cases/elementwise.ts'

testGradients(t, ELEMENTWISE)
testAnyGradient(t, 'operator of shapes that broadcast', anyBroadcast, 60)
testAnyGradient(t, 'activation', anyActivation, 40)
