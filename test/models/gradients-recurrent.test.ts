// Gradients of recurrent layers.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyRecurrent, RECURRENT } from './cases/recurrent.ts'

testGradients(t, RECURRENT)
testAnyGradient(t, 'recurrent layer', anyRecurrent, 25)
