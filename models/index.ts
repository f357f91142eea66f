// ONNX models as data: load and check them, take their weights out and put them back, and compile what trains and evaluates them.
// Nothing here runs a model.
export { compileEvaluation, type EvaluationOptions, hasScores } from './compile-evaluation.ts'
export { type CompiledTraining, compileTraining, type TrainingOptions } from './compile-training.ts'
export { describeModel, type ModelDescription, suitableTask, type Task, trainingNotes } from './describe.ts'
export { type InputOptions, isClasses, type TargetOptions } from './forward.ts'
export { loadModel, type Model } from './load.ts'
export type { LossOptions } from './loss.ts'
export { onlyBatch } from './lower.ts'
export { learningRateAt, type OptimizerOptions } from './optimizer.ts'
export type { SplitOptions } from './parameters.ts'
export { classesOf, type ModelSignature, modelSignature } from './signature.ts'
export { SUPPORTED_OPERATORS } from './supported.ts'
export { exportModel, type SplitModel, splitWeights } from './weights.ts'
