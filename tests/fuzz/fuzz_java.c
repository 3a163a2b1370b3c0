/* SPDX-License-Identifier: BSD-2-Clause */
/**
 * Memory of a JVM. The first byte says of what: the tables it exports, all of them the input's; or
 * the structures of code and methods, where the input changes bytes of sound ones (three bytes of
 * address, one of content) and then says what to name.
 */
#include "fuzz.h"

#include "../unit/trace/fake_java.h"
#include "trace/java_code.h"
#include "trace/java_names.h"

struct input {
	const uint8_t *data;
	size_t size;
};

static bool read_input(const void *context, uint64_t address, void *buffer, size_t size)
{
	const struct input *input = context;
	uint64_t at = address - FAKE_ADDRESS;

	if (at > input->size || size > input->size - at)
		return false;
	memcpy(buffer, input->data + at, size);
	return true;
}

static void read_tables(const uint8_t *data, size_t size)
{
	const struct input input = {data, size};
	const struct ml_java_memory memory = {.read = read_input, .context = &input};
	struct ml_java java = {0};
	uint64_t exports[ML_JAVA_EXPORT_COUNT];

	for (size_t i = 0; i < ML_JAVA_EXPORT_COUNT; i++)
		exports[i] = FAKE_ADDRESS + i * 8;
	if (!ml_java_tables_read(&memory, exports, &java.tables) || !ml_java_read(&memory, &java))
		return;
	FUZZ_CHECK(java.layout.start < java.layout.end);
	FUZZ_CHECK(java.layout.heap_count && java.layout.heap_count <= ML_JAVA_HEAPS);
}

static void name_entry(struct ml_java_names *names, const struct ml_java *java,
		       const struct ml_java_memory *memory, uint64_t entry)
{
	struct ml_java_frames frames = ml_java_names_get(names, java, memory, entry);

	FUZZ_CHECK(frames.count <= ML_JAVA_INLINES);
	for (size_t i = 0; i < frames.count; i++)
		FUZZ_CHECK(!frames.items[i].name || frames.items[i].name->line >= 0);
}

static void name_entries(const uint8_t *data, size_t size)
{
	static struct fake_memory fake;
	const struct ml_java_memory memory = {.read = fake_read, .context = &fake};
	struct ml_java_names *names = ml_java_names_create();
	struct ml_java java = {0};
	uint64_t entries[] = {ML_JAVA_INTERPRETED_ENTRY(FAKE_INNER, 6), FAKE_CALL, FAKE_CALL_STUB,
			      FAKE_CALL | ML_STACK_IP_INTERRUPTED};

	memset(&fake, 0, sizeof(fake));
	fake_java(&fake, &java);
	for (; size >= 4; data += 4, size -= 4) {
		uint32_t at = data[0] | data[1] << 8 | (data[2] & 3) << 16;

		fake.bytes[at] = data[3];
	}
	for (size_t i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		name_entry(names, &java, &memory, entries[i] + size);
	ml_java_names_destroy(names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 1)
		return 0;
	if (data[0] & 1)
		name_entries(data + 1, size - 1);
	else
		read_tables(data + 1, size - 1);
	return 0;
}
