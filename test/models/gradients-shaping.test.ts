// Gradients of what changes shapes, joins and splits.
import t from 'tap'
import { testAnyGradient, testGradients } from './cases/case.ts'
import { anyMove, anySplit, SHAPING } from './cases/shaping.ts'

testGradients(t, SHAPING)
testAnyGradient(t, 'Split and Concat', anySplit, 30)
testAnyGradient(t, 'Transpose, Tile or Expand', anyMove, 40)
