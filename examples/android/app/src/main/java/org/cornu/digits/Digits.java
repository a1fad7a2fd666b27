package org.cornu.digits;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import java.nio.FloatBuffer;
import java.util.Map;

/** The exported model, in ONNX Runtime. */
final class Digits implements AutoCloseable {
    /** The sides of an image, in pixels. */
    static final int SIDE = 8;

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;

    Digits(byte[] file) throws OrtException {
        session = environment.createSession(file);
    }

    /** The probabilities of the digits 0 to 9. `ink` is SIDE rows of SIDE numbers, from 0 to 1. */
    float[] read(float[] ink) throws OrtException {
        long[] shape = {1, SIDE, SIDE, 1};
        try (OnnxTensor image = OnnxTensor.createTensor(environment, FloatBuffer.wrap(ink), shape);
                OrtSession.Result results = session.run(Map.of("image", image))) {
            return ((float[][]) results.get(0).getValue())[0];
        }
    }

    @Override
    public void close() throws OrtException {
        session.close();
    }
}
