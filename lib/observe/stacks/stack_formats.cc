// Stacks as text, as JSON, and as what flame graphs are made from.
#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "slipstream/observe/thread_stacks.h"

namespace slipstream::observe {
namespace {

std::string Hex(uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%" PRIx64, value);
  return text;
}

std::string Fixed(double value, int decimals) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", decimals, value);
  return text;
}

std::string_view FileName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// The best there is: the function, or the place in its module, or the address.
std::string NameOf(const StackFrame& frame) {
  if (!frame.function.empty()) return frame.function;
  if (frame.module.empty()) return Hex(frame.address);
  return std::string(FileName(frame.module)) + "+" + Hex(frame.module_offset);
}

// Without control characters, which a terminal would obey: threads and tasks have any names.
std::string Printable(std::string_view text) {
  std::string printable(text);
  std::replace_if(
      printable.begin(), printable.end(),
      [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return printable;
}

std::string TextOf(const StackTask& task) {
  std::string text = ", task " + std::to_string(task.id);
  if (!task.kind.empty()) text += " " + Printable(task.kind);
  if (!task.status.empty()) text += " (" + Printable(task.status) + ")";
  return text;
}

nlohmann::json JsonOf(const StackFrame& frame) {
  return {{"address", Hex(frame.address)},
          {"function", frame.function},
          {"module", frame.module},
          {"moduleOffset", Hex(frame.module_offset)},
          {"file", frame.file},
          {"line", frame.line}};
}

nlohmann::json JsonOf(const ThreadStack& thread) {
  nlohmann::json frames = nlohmann::json::array();
  for (const StackFrame& frame : thread.frames) frames.push_back(JsonOf(frame));
  nlohmann::json task;
  if (thread.task.id != 0) {
    // As in the process list.
    task = {{"id", std::to_string(thread.task.id)},
            {"kind", thread.task.kind},
            {"status", thread.task.status}};
  }
  return {{"tid", thread.tid},
          {"name", thread.name},
          {"state", std::string(1, thread.state)},
          {"cpuMicros", thread.cpu_us},
          {"outcome", StackOutcomeName(thread.outcome)},
          {"note", thread.note},
          {"pauseMicros", static_cast<double>(thread.pause_ns) / 1000},
          {"truncated", thread.truncated},
          {"task", std::move(task)},
          {"frames", std::move(frames)}};
}

// In a line of collapsed stacks ';' separates frames and the last space the count.
std::string Collapsible(std::string_view name) {
  std::string collapsible = Printable(name);
  std::replace(collapsible.begin(), collapsible.end(), ';', ':');
  return collapsible.empty() ? "?" : collapsible;
}

}  // namespace

std::string StacksToText(const ThreadStacks& stacks) {
  std::string text = std::to_string(stacks.threads.size()) + " threads, in " +
                     Fixed(static_cast<double>(stacks.took_us) / 1000, 1) + " ms\n";
  for (const ThreadStack& thread : stacks.threads) {
    text += "\n\"" + Printable(thread.name) + "\" " + std::to_string(thread.tid) + ", state " +
            thread.state + ", CPU " + Fixed(static_cast<double>(thread.cpu_us) / 1e6, 3) + " s";
    if (thread.outcome == StackOutcome::kCaptured) {
      text += ", paused for " + Fixed(static_cast<double>(thread.pause_ns) / 1000, 1) + " us";
    }
    if (thread.task.id != 0) text += TextOf(thread.task);
    text += "\n";
    for (size_t i = 0; i < thread.frames.size(); ++i) {
      const StackFrame& frame = thread.frames[i];
      text += "  #" + std::to_string(i) + "  " + NameOf(frame);
      if (!frame.file.empty()) {
        text += "  at " + frame.file + ":" + std::to_string(frame.line);
      } else if (!frame.function.empty()) {
        text += "  in " + std::string(FileName(frame.module));
      }
      text += "\n";
    }
    if (!thread.note.empty()) text += "  (" + Printable(thread.note) + ")\n";
  }
  return text;
}

std::string StacksToJson(const ThreadStacks& stacks) {
  nlohmann::json threads = nlohmann::json::array();
  for (const ThreadStack& thread : stacks.threads) threads.push_back(JsonOf(thread));
  const nlohmann::json all = {{"threads", std::move(threads)}, {"tookMicros", stacks.took_us}};
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string ProfileToCollapsed(const StackProfile& profile) {
  std::string text;
  for (const ProfiledStack& stack : profile.stacks) {
    text += Collapsible(stack.thread);
    if (stack.truncated) text += ";[truncated]";
    for (auto frame = stack.frames.rbegin(); frame != stack.frames.rend(); ++frame) {
      text += ";" + Collapsible(NameOf(*frame));
    }
    text += " " + std::to_string(stack.count) + "\n";
  }
  return text;
}

}  // namespace slipstream::observe
