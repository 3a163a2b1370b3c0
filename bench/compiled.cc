/* SPDX-License-Identifier: BSD-2-Clause */
/* What the compilers of bench/short.py compile. */
#include <map>
#include <regex>
#include <string>
#include <vector>

struct entry {
	std::string name;
	std::vector<int> lines;
};

std::map<std::string, entry> index_of(const std::vector<std::string> &lines, const std::string &pattern)
{
	std::map<std::string, entry> found;
	std::regex wanted(pattern);
	int number = 0;

	for (const std::string &line : lines) {
		std::smatch match;

		number++;
		for (auto at = line.cbegin(); std::regex_search(at, line.cend(), match, wanted);
		     at = match.suffix().first) {
			entry &one = found[match.str()];

			one.name = match.str();
			one.lines.push_back(number);
		}
	}
	return found;
}

std::string listing(const std::map<std::string, entry> &found)
{
	std::string text;

	for (const auto &[key, one] : found) {
		text += std::regex_replace(key, std::regex("[^a-z]+"), "_") + ":";
		for (int line : one.lines)
			text += " " + std::to_string(line);
		text += '\n';
	}
	return text;
}
