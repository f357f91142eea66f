// Gradients of what layers are made of: convolutions, pools, products, normalisations, recurrence.
import t from 'tap'
import { testAnyGradient, testGradients } from '../cases/case.ts'
import { anyEinsum, anyMatMul, anySoftmax, LINEAR } from '../cases/linear.ts'
import { anyNormalization, NORMALIZATIONS } from '../cases/normalization.ts'
import { anyRecurrent, RECURRENT } from '../cases/recurrent.ts'
import { anyConv, anyConvTranspose, anyPool, anyResize, CONVOLUTIONS, POOLS } from '../cases/windows.ts'

testGradients(t, CONVOLUTIONS)
testAnyGradient(t, 'Conv', anyConv, 40)
testAnyGradient(t, 'ConvTranspose', anyConvTranspose, 40)

testGradients(t, POOLS)
testAnyGradient(t, 'pool', anyPool, 60)
testAnyGradient(t, 'Resize', anyResize, 40)

testGradients(t, LINEAR)
testAnyGradient(t, 'product of matrices', anyMatMul, 40)
testAnyGradient(t, 'Einsum', anyEinsum, 40)
testAnyGradient(t, 'softmax', anySoftmax, 30)

testGradients(t, NORMALIZATIONS)
testAnyGradient(t, 'normalisation', anyNormalization, 40)

testGradients(t, RECURRENT)
testAnyGradient(t, 'recurrent layer', anyRecurrent, 25)
