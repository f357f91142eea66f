// ONNX models as data: load and check them, take their weights out and put them back, and compile what trains and evaluates them.
// Nothing here runs a model.
export { compileEvaluation, type EvaluationOptions } from './compile-evaluation.ts'
export { compileTraining, type TrainingOptions } from './compile-training.ts'
export type { InputOptions, LabelType } from './forward.ts'
export { loadModel, type Model } from './load.ts'
export type { LossOptions } from './loss.ts'
export { learningRateAt, type OptimizerOptions, optimizerSize } from './optimizer.ts'
export { type ModelSignature, modelSignature } from './signature.ts'
export { SUPPORTED_OPERATORS } from './supported.ts'
export { exportModel, type SplitModel, type SplitOptions, splitWeights } from './weights.ts'
