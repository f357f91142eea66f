// Gradients of pools and of resizing.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyPool, anyResize, POOLS } from './cases/windows.ts'

testGradients(t, POOLS)
testAnyGradient(t, 'pool', anyPool, 60)
testAnyGradient(t, 'Resize', anyResize, 40)
