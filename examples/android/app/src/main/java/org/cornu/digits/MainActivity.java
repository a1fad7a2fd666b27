package org.cornu.digits;

import android.app.Activity;
import android.content.Context;
import android.graphics.Bitmap;
import android.graphics.Canvas;
import android.graphics.Color;
import android.graphics.Paint;
import android.os.Bundle;
import android.view.MotionEvent;
import android.view.View;
import ai.onnxruntime.OrtException;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;

/** A digit is drawn with a finger; what the model makes of it stands at the top. A new touch clears it. */
public final class MainActivity extends Activity {
    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        try (InputStream asset = getAssets().open("digits.onnx")) {
            ByteArrayOutputStream file = new ByteArrayOutputStream();
            byte[] piece = new byte[8192];
            for (int count; (count = asset.read(piece)) > 0; ) file.write(piece, 0, count);
            setContentView(new Paper(this, new Digits(file.toByteArray())));
        } catch (IOException | OrtException error) {
            throw new IllegalStateException("The asset digits.onnx is missing, or no model.", error);
        }
    }

    /** What is drawn on: white ink on black. */
    private static final class Paper extends View {
        private final Digits digits;
        private final Paint paint = new Paint(Paint.ANTI_ALIAS_FLAG);
        private Bitmap drawing;
        private Canvas canvas;
        private float x, y;
        private String answer = "Draw a digit";

        Paper(Context context, Digits digits) {
            super(context);
            this.digits = digits;
            paint.setColor(Color.WHITE);
            paint.setStrokeCap(Paint.Cap.ROUND);
        }

        @Override
        protected void onSizeChanged(int width, int height, int oldWidth, int oldHeight) {
            int side = Math.max(1, Math.min(width, height));
            drawing = Bitmap.createBitmap(side, side, Bitmap.Config.ARGB_8888);
            canvas = new Canvas(drawing);
            paint.setStrokeWidth(side / 9f);
            paint.setTextSize(side / 10f);
        }

        @Override
        public boolean onTouchEvent(MotionEvent event) {
            if (event.getAction() == MotionEvent.ACTION_DOWN) {
                canvas.drawColor(Color.BLACK);
            } else {
                canvas.drawLine(x, y, event.getX(), event.getY(), paint);
                answer = answer();
            }
            x = event.getX();
            y = event.getY();
            invalidate();
            return true;
        }

        @Override
        protected void onDraw(Canvas screen) {
            screen.drawColor(Color.DKGRAY);
            screen.drawBitmap(drawing, 0, 0, null);
            screen.drawText(answer, paint.getTextSize(), getHeight() - paint.getTextSize(), paint);
        }

        private String answer() {
            Bitmap small = Bitmap.createScaledBitmap(drawing, Digits.SIDE, Digits.SIDE, true);
            float[] ink = new float[Digits.SIDE * Digits.SIDE];
            for (int i = 0; i < ink.length; i++) {
                ink[i] = Color.red(small.getPixel(i % Digits.SIDE, i / Digits.SIDE)) / 255f;
            }
            try {
                float[] shares = digits.read(ink);
                int best = 0;
                for (int i = 1; i < shares.length; i++) if (shares[i] > shares[best]) best = i;
                return best + " (" + Math.round(100 * shares[best]) + " %)";
            } catch (OrtException error) {
                return error.getMessage();
            }
        }
    }
}
