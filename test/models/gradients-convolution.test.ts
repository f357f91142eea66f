// Gradients of convolutions.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyConv, anyConvTranspose, CONVOLUTIONS } from './cases/windows.ts'

testGradients(t, CONVOLUTIONS)
testAnyGradient(t, 'Conv', anyConv, 40)
testAnyGradient(t, 'ConvTranspose', anyConvTranspose, 40)
