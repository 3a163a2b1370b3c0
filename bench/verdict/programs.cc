// SPDX-License-Identifier: BSD-2-Clause
/**
 * Programs whose truth is known, one function each: bench/verdict/truth.json says what becomes of the
 * blocks that are allocated below it. Each runs in a thread of its own: programs NAME...
 */
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#define SITE __attribute__((noinline))

namespace {

using std::chrono::steady_clock;

thread_local std::minstd_rand chance_source{23};
void *volatile sink;

double chance()
{
	return std::uniform_real_distribution<double>(0, 1)(chance_source);
}

/** The clock of one program: ticks of 20 ms, and how many events a rate brings in each. */
struct Clock {
	steady_clock::time_point start = steady_clock::now();
	double now = 0, last = 0, owed = 0;

	void tick()
	{
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		last = now;
		now = std::chrono::duration<double>(steady_clock::now() - start).count();
	}
	int due(double rate)
	{
		owed += rate * (now - last);
		int count = static_cast<int>(owed);
		owed -= count;
		return count;
	}
	/** True once in @p period seconds, at @p phase. */
	bool is_time(double period, double phase = 0) const
	{
		return std::floor((now - phase) / period) > std::floor((last - phase) / period);
	}
};

/* ---- leaks ---------------------------------------------------------------------------------- */

SITE void leak_steady(Clock &clock)
{
	for (int i = clock.due(10); i > 0; i--)
		sink = malloc(512);
}

/* 100 MB/s come and go at the very call that forgets 20 bytes a second. */
SITE char *make_buffer(size_t size)
{
	char *buffer = static_cast<char *>(malloc(size));

	buffer[0] = 1;
	return buffer;
}

SITE void leak_hidden_in_churn(Clock &clock)
{
	bool forget = clock.is_time(1);

	for (int i = clock.due(1000); i >= 0; i--) {
		char *buffer = make_buffer(i ? 100000 : 20);

		if (i || !forget)
			free(buffer);
	}
}

SITE void leak_late(Clock &clock)
{
	if (clock.now > 25)
		for (int i = clock.due(10); i > 0; i--)
			sink = malloc(100);
}

SITE void *xmalloc(size_t size)
{
	void *block = malloc(size);

	if (!block)
		abort();
	memset(block, 0, size);
	return block;
}

SITE void leak_behind_wrapper(Clock &clock)
{
	for (int i = clock.due(5); i > 0; i--)
		sink = xmalloc(101);
}

/* Through the same wrapper, but freed. */
SITE void steady_behind_wrapper(Clock &clock)
{
	for (int i = clock.due(100); i > 0; i--) {
		sink = xmalloc(101);
		free(sink);
	}
}

SITE void leak_string(Clock &clock)
{
	for (int i = clock.due(4); i > 0; i--)
		sink = new std::string(200, 'x');
}

struct Node {
	std::shared_ptr<Node> other;
	char text[100];
};

SITE void leak_shared_cycle(Clock &clock)
{
	for (int i = clock.due(4); i > 0; i--) {
		auto one = std::make_shared<Node>(), two = std::make_shared<Node>();

		one->other = two;
		two->other = one;
	}
}

SITE void leak_map_only_grows(Clock &clock)
{
	static std::unordered_map<int, std::string> map;

	for (int i = clock.due(20); i > 0; i--)
		map.emplace(static_cast<int>(map.size()), std::string(50, 'y'));
}

SITE void leak_on_errors(Clock &clock)
{
	for (int i = clock.due(200); i > 0; i--) {
		void *block = sink = malloc(300);

		if (chance() < 0.01)
			continue;
		free(block);
	}
}

SITE void leak_in_bursts(Clock &clock)
{
	if (clock.is_time(8, 3))
		for (int i = 0; i < 200; i++)
			sink = malloc(64);
}

SITE void leak_decreasing(Clock &clock)
{
	for (int i = clock.due(50 / (1 + clock.now / 10)); i > 0; i--)
		sink = malloc(80);
}

SITE void leak_accelerating(Clock &clock)
{
	for (int i = clock.due(1 + clock.now / 3); i > 0; i--)
		sink = malloc(80);
}

SITE void leak_at_random(Clock &clock)
{
	if (chance() < 1.5 * (clock.now - clock.last))
		sink = calloc(1, 1000);
}

SITE void leak_in_thread()
{
	sink = malloc(128);
}

SITE void leak_with_threads(Clock &clock)
{
	if (clock.is_time(0.5))
		std::thread(leak_in_thread).join();
}

SITE void leak_below_gc(Clock &clock)
{
	static std::vector<void *> young;

	for (int i = clock.due(60); i > 0; i--)
		young.push_back(malloc(90));
	if (!clock.is_time(5))
		return;
	for (size_t i = 0; i < young.size(); i++)
		if (i % 20)
			free(young[i]);
	young.clear();
}

SITE void leak_after_startup(Clock &clock)
{
	static bool started;

	if (!started)
		for (int i = 0; i < 300; i++)
			sink = malloc(1000);
	started = true;
	for (int i = clock.due(3); i > 0; i--)
		sink = malloc(50);
}

SITE void leak_list_never_trimmed(Clock &clock)
{
	static std::list<std::string> history;

	for (int i = clock.due(6); i > 0; i--)
		history.emplace_back(100, 'z');
}

SITE void leak_strdup(Clock &clock)
{
	for (int i = clock.due(5); i > 0; i--)
		sink = strdup("a text that nobody frees, of some length");
}

SITE void leak_new_array(Clock &clock)
{
	for (int i = clock.due(5); i > 0; i--)
		sink = new int[100];
}

SITE void leak_beside_sessions(Clock &clock)
{
	static std::vector<void *> sessions;

	for (int i = clock.due(40); i > 0; i--) {
		void *session = malloc(400);

		if (chance() < 0.1)
			sink = session;
		else
			sessions.push_back(session);
	}
	for (size_t i = 0; i < sessions.size();)
		if (chance() < (clock.now - clock.last) / 2) {
			free(sessions[i]);
			sessions[i] = sessions.back();
			sessions.pop_back();
		} else {
			i++;
		}
}

/* ---- growing -------------------------------------------------------------------------------- */

SITE void growing_realloc(Clock &clock)
{
	static char *text;
	static size_t size;

	for (int i = clock.due(5); i > 0; i--)
		text = static_cast<char *>(realloc(text, size += 1000));
}

SITE void growing_log_doubles(Clock &clock)
{
	static std::vector<double> log;

	for (int i = clock.due(2000); i > 0; i--)
		log.push_back(clock.now);
}

SITE void growing_queue(Clock &clock)
{
	static std::deque<void *> queue;

	for (int i = clock.due(50); i > 0; i--) {
		queue.push_back(malloc(100));
		if (chance() < 0.7) {
			free(queue.front());
			queue.pop_front();
		}
	}
}

/* ---- bounded -------------------------------------------------------------------------------- */

/* Fills up in 12 seconds, then the oldest goes for each new one. */
SITE void cache_lru(Clock &clock)
{
	static std::deque<void *> entries;

	for (int i = clock.due(40); i > 0; i--) {
		entries.push_back(malloc(300));
		if (entries.size() > 480) {
			free(entries.front());
			entries.pop_front();
		}
	}
}

/* Most requests are for few entries, which stay; the rest is evicted soon. */
SITE void cache_hot_entries(Clock &clock)
{
	static std::list<std::pair<int, void *>> order;
	static std::unordered_map<int, std::list<std::pair<int, void *>>::iterator> index;

	for (int i = clock.due(100); i > 0; i--) {
		int key = static_cast<int>(3000 * std::pow(chance(), 4));
		auto found = index.find(key);

		if (found != index.end()) {
			order.splice(order.begin(), order, found->second);
			continue;
		}
		order.emplace_front(key, malloc(200));
		index[key] = order.begin();
		if (order.size() > 300) {
			free(order.back().second);
			index.erase(order.back().first);
			order.pop_back();
		}
	}
}

SITE void cache_ttl(Clock &clock)
{
	static std::deque<std::pair<double, void *>> entries;

	for (int i = clock.due(20 + 10 * chance()); i > 0; i--)
		entries.emplace_back(clock.now, malloc(150));
	while (!entries.empty() && entries.front().first < clock.now - 8) {
		free(entries.front().second);
		entries.pop_front();
	}
}

SITE void cache_memo(Clock &clock)
{
	static std::unordered_map<int, std::string> results;

	for (int i = clock.due(150); i > 0; i--)
		results.emplace(static_cast<int>(chance() * 800), std::string(60, 'r'));
}

SITE void cache_random_eviction(Clock &clock)
{
	static std::vector<void *> entries;

	for (int i = clock.due(50); i > 0; i--) {
		if (entries.size() < 400) {
			entries.push_back(malloc(250));
			continue;
		}
		void *&victim = entries[static_cast<size_t>(chance() * 400)];

		free(victim);
		victim = malloc(250);
	}
}

SITE void cache_fills_and_stays(Clock &clock)
{
	static int filled;

	for (int i = clock.due(30); i > 0 && filled < 300; i--, filled++)
		sink = malloc(400);
}

SITE void cache_flushed(Clock &clock)
{
	static std::unordered_map<int, std::string> results;

	if (clock.is_time(15))
		results.clear();
	for (int i = clock.due(150); i > 0; i--)
		results.emplace(static_cast<int>(chance() * 400), std::string(60, 'r'));
}

SITE void pool_free_list(Clock &clock)
{
	static std::vector<void *> unused, used;

	for (int i = clock.due(200); i > 0; i--) {
		if (chance() < 0.5) {
			if (unused.empty())
				unused.push_back(malloc(700));
			used.push_back(unused.back());
			unused.pop_back();
		} else if (!used.empty()) {
			unused.push_back(used.back());
			used.pop_back();
		}
		/* Work that is never more than so much at once. */
		if (used.size() > 40) {
			unused.insert(unused.end(), used.begin(), used.end());
			used.clear();
		}
	}
}

SITE void pool_connections(Clock &clock)
{
	static std::vector<void *> connections;
	size_t needed = static_cast<size_t>(std::min(4 + clock.now, 16.0));

	while (connections.size() < needed)
		connections.push_back(malloc(16384));
	if (chance() < (clock.now - clock.last) / 5) {
		free(connections.front());
		connections.erase(connections.begin());
	}
}

SITE void queue_bounded(Clock &clock)
{
	static std::deque<void *> queue;

	for (int i = clock.due(100); i > 0; i--) {
		if (queue.size() < 50)
			queue.push_back(malloc(120));
		if (chance() < 0.9 && !queue.empty()) {
			free(queue.front());
			queue.pop_front();
		}
	}
}

SITE void queue_bursts(Clock &clock)
{
	static std::deque<void *> queue;

	if (clock.is_time(6, 2))
		for (int i = 0; i < 300; i++)
			queue.push_back(malloc(90));
	for (int i = clock.due(150); i > 0 && !queue.empty(); i--) {
		free(queue.front());
		queue.pop_front();
	}
}

SITE void steady_arena_fragments(Clock &clock)
{
	static void *slots[200];

	for (int i = clock.due(300); i > 0; i--) {
		void *&slot = slots[static_cast<size_t>(chance() * 200)];

		free(slot);
		slot = malloc(16 + static_cast<size_t>(chance() * chance() * 20000));
	}
}

SITE void steady_churn(Clock &clock)
{
	for (int i = clock.due(800); i > 0; i--) {
		sink = malloc(100 + static_cast<size_t>(chance() * 1000));
		free(sink);
	}
}

SITE void steady_job(Clock &clock)
{
	static std::vector<void *> results;

	if (!clock.is_time(7, 1))
		return;
	for (void *result : results)
		free(result);
	results.clear();
	for (int i = 0; i < 300; i++)
		results.push_back(malloc(64));
}

SITE void steady_gc_saw(Clock &clock)
{
	static std::vector<void *> garbage;

	for (int i = clock.due(70); i > 0; i--)
		garbage.push_back(malloc(110));
	if (garbage.size() < 400)
		return;
	for (void *block : garbage)
		free(block);
	garbage.clear();
}

SITE void steady_in_thread()
{
	void *work = sink = malloc(5000);

	std::this_thread::sleep_for(std::chrono::milliseconds(30));
	free(work);
}

SITE void steady_threads(Clock &clock)
{
	if (clock.is_time(0.3))
		std::thread(steady_in_thread).join();
}

SITE void steady_requests(Clock &clock)
{
	for (int i = clock.due(30); i > 0; i--) {
		std::vector<void *> arena;

		for (int k = 0; k < 10; k++)
			arena.push_back(malloc(4096));
		for (void *block : arena)
			free(block);
	}
}

SITE void steady_sessions(Clock &clock)
{
	static std::vector<void *> sessions;

	for (int i = clock.due(30); i > 0; i--)
		sessions.push_back(malloc(500));
	for (size_t i = 0; i < sessions.size();)
		if (chance() < (clock.now - clock.last) / 5) {
			free(sessions[i]);
			sessions[i] = sessions.back();
			sessions.pop_back();
		} else {
			i++;
		}
}

SITE void steady_ring_of_strings(Clock &clock)
{
	static std::deque<std::string> ring;

	for (int i = clock.due(60); i > 0; i--) {
		ring.emplace_back(80, 'l');
		if (ring.size() > 300)
			ring.pop_front();
	}
}

SITE void steady_hash_churn(Clock &clock)
{
	static std::unordered_map<int, int> table;
	static int next;

	for (int i = clock.due(200); i > 0; i--) {
		table[next++] = 1;
		if (table.size() > 1000)
			table.erase(next - 1001);
	}
}

SITE void steady_warm_up(Clock &clock)
{
	static std::vector<void *> blocks;
	double level = 200 * (1 - std::exp(-clock.now / 6));

	for (int i = clock.due(150); i > 0; i--)
		blocks.push_back(malloc(130));
	while (static_cast<double>(blocks.size()) > level) {
		size_t at = static_cast<size_t>(chance() * static_cast<double>(blocks.size()));

		free(blocks[at]);
		blocks[at] = blocks.back();
		blocks.pop_back();
	}
}

SITE void startup_table(Clock &clock)
{
	static bool done;

	for (int i = 0; i < 1000 && !done; i++)
		sink = malloc(200);
	done = true;
}

SITE void startup_singletons(Clock &clock)
{
	static const double at[] = {1, 2, 4, 7};

	for (double time : at)
		if (clock.last < time && clock.now >= time)
			sink = malloc(3000);
}

const std::map<std::string, void (*)(Clock &)> programs = {
#define PROGRAM(name) {#name, name}
	PROGRAM(leak_steady),
	PROGRAM(leak_hidden_in_churn),
	PROGRAM(leak_late),
	PROGRAM(leak_behind_wrapper),
	PROGRAM(steady_behind_wrapper),
	PROGRAM(leak_string),
	PROGRAM(leak_shared_cycle),
	PROGRAM(leak_map_only_grows),
	PROGRAM(leak_on_errors),
	PROGRAM(leak_in_bursts),
	PROGRAM(leak_decreasing),
	PROGRAM(leak_accelerating),
	PROGRAM(leak_at_random),
	PROGRAM(leak_with_threads),
	PROGRAM(leak_below_gc),
	PROGRAM(leak_after_startup),
	PROGRAM(leak_list_never_trimmed),
	PROGRAM(leak_strdup),
	PROGRAM(leak_new_array),
	PROGRAM(leak_beside_sessions),
	PROGRAM(growing_realloc),
	PROGRAM(growing_log_doubles),
	PROGRAM(growing_queue),
	PROGRAM(cache_lru),
	PROGRAM(cache_hot_entries),
	PROGRAM(cache_ttl),
	PROGRAM(cache_memo),
	PROGRAM(cache_random_eviction),
	PROGRAM(cache_fills_and_stays),
	PROGRAM(cache_flushed),
	PROGRAM(pool_free_list),
	PROGRAM(pool_connections),
	PROGRAM(queue_bounded),
	PROGRAM(queue_bursts),
	PROGRAM(steady_arena_fragments),
	PROGRAM(steady_churn),
	PROGRAM(steady_job),
	PROGRAM(steady_gc_saw),
	PROGRAM(steady_threads),
	PROGRAM(steady_requests),
	PROGRAM(steady_sessions),
	PROGRAM(steady_ring_of_strings),
	PROGRAM(steady_hash_churn),
	PROGRAM(steady_warm_up),
	PROGRAM(startup_table),
	PROGRAM(startup_singletons),
};

void run(void (*program)(Clock &))
{
	Clock clock;

	for (;;) {
		clock.tick();
		program(clock);
	}
}

} // namespace

/* Waits for a line on its input, so that whoever traces can attach first. */
int main(int argc, char **argv)
{
	std::vector<std::thread> threads;

	puts("ready");
	fflush(stdout);
	getchar();
	for (int i = 1; i < argc; i++)
		threads.emplace_back(run, programs.at(argv[i]));
	for (std::thread &thread : threads)
		thread.join();
}
