// Gradients of products of matrices and tensors, and of softmax.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyEinsum, anyMatMul, anySoftmax, LINEAR } from './cases/linear.ts'

testGradients(t, LINEAR)
testAnyGradient(t, 'product of matrices', anyMatMul, 40)
testAnyGradient(t, 'Einsum', anyEinsum, 40)
testAnyGradient(t, 'softmax', anySoftmax, 30)
