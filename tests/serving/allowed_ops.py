"""The ops that SavedModels may have. TensorFlow Serving links them all."""

# Of tensorflow_text; the only ones that are not TensorFlow's own. They have CPU kernels only.
TEXT_OPS = frozenset(
    {
        "SentencepieceDetokenizeOp",
        "SentencepieceOp",
        "SentencepieceTokenizeOp",
        "SentencepieceTokenizeWithOffsetsOp",
    }
)

# Before one is added here: it must be an op of TensorFlow, with kernels for CPU and GPU (or of
# strings), that reads no file, and calls no Python.
_NAMES = """
    Abs Add AddV2 All Any ArgMax Assert AssignVariableOp BatchMatMulV2 BatchMatMulV3 BiasAdd
    Bitcast BitwiseAnd BroadcastTo Case Cast ConcatV2 Const Cumsum DecodeRaw DenseBincount
    DisableCopyOnRead Einsum EnsureShape Equal Erfc Exp ExpandDims Fill FloorDiv FloorMod
    GatherV2 Greater GreaterEqual Identity IdentityN If IsFinite Less LessEqual Log Log1p
    LogSoftmax LogicalAnd LogicalNot LogicalOr LowerBound MatMul Max Maximum Mean
    MergeV2Checkpoints Min Minimum Mul Neg NoOp NotEqual OnesLike Pack Pad PadV2 PartitionedCall
    Placeholder Pow Prod RaggedGather RaggedRange RaggedTensorToTensor RandomUniformInt Range
    ReadVariableOp RealDiv ReduceJoin Relu Reshape RestoreV2 Round Rsqrt SaveV2
    ScatterNdNonAliasingAdd Select SelectV2 Shape ShardedFilename Sigmoid Size Softmax Square
    SquaredDifference Squeeze StatefulPartitionedCall StatelessCase StatelessIf
    StatelessMultinomial StatelessWhile StaticRegexFullMatch StaticRegexReplace StopGradient
    StridedSlice StringJoin StringLength Sub Substr Sum Tanh TensorListFromTensor
    TensorListGetItem TensorListReserve TensorListSetItem TensorListStack TensorScatterUpdate
    Tile TopKV2 Transpose UnicodeDecodeWithOffsets UnicodeEncode UnsortedSegmentMax
    UnsortedSegmentMin UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp Where While
    ZerosLike
"""
TENSORFLOW_OPS = frozenset(_NAMES.split())
