// Gradients of normalisations.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyNormalization, NORMALIZATIONS } from './cases/normalization.ts'

testGradients(t, NORMALIZATIONS)
testAnyGradient(t, 'normalisation', anyNormalization, 40)
