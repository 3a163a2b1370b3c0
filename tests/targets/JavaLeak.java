// SPDX-License-Identifier: BSD-2-Clause
// Leaks zlib streams and direct buffers from Java code that it makes hot beforehand, and says as
// truth.h does how many. Lines are for the test to find: a leak's is the one that names it.
//
//   java [-Dwarm=CALLS] JavaLeak [virtual]    virtual: in a virtual thread (from 21 on)
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.Deflater;

public class JavaLeak {
	static final int STREAMS = 101, BUFFERS = 23, BUFFER_BYTES = 54321;
	static final List<Object> kept = new ArrayList<>();

	static Deflater makeStream() {
		return new Deflater(); // makeStream
	}

	static ByteBuffer makeBuffer(int bytes) {
		return ByteBuffer.allocateDirect(bytes); // makeBuffer
	}

	static void leakStreams(int count, boolean keep) {
		for (int i = 0; i < count; i++) {
			Deflater made = makeStream(); // leakStreams
			if (keep)
				kept.add(made);
			else
				made.end();
		}
	}

	static void leakBuffers(int count, int bytes) {
		for (int i = 0; i < count; i++)
			kept.add(makeBuffer(bytes)); // leakBuffers
	}

	static void say(String line) {
		System.out.println(line);
	}

	static void await() throws IOException {
		int c;
		do
			c = System.in.read();
		while (c >= 0 && c != '\n');
	}

	static void work() {
		leakStreams(STREAMS, true); // work: streams
		leakBuffers(BUFFERS, BUFFER_BYTES); // work: buffers
	}

	public static void main(String[] arguments) throws Exception {
		int warm = Integer.getInteger("warm", 20000);
		for (int i = 0; i < 10; i++) {
			leakStreams(warm / 10, false);
			leakBuffers(warm / 50, 1);
		}
		kept.clear();
		say("{\"event\":\"ready\"}");
		await();
		if (arguments.length > 0 && arguments[0].equals("virtual")) {
			Runnable work = JavaLeak::work;
			// Java 17 compiles this, too.
			((Thread) Thread.class.getMethod("startVirtualThread", Runnable.class)
				.invoke(null, work)).join();
		} else {
			work();
		}
		say("{\"site\":\"leakStreams\",\"count\":" + STREAMS + ",\"bytes\":0}");
		say("{\"site\":\"leakBuffers\",\"count\":" + BUFFERS + ",\"bytes\":"
			+ BUFFERS * BUFFER_BYTES + "}");
		say("{\"event\":\"done\"}");
		await();
	}
}
