// The list on a terminal, and the keys.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "cluster.h"
#include "task_list.h"

namespace slipstream_top {

// The terminal is as it was before when this is destroyed.
// Threads: one.
class Screen {
 public:
  Screen(Cluster* cluster, ListSettings list, bool with_finished);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  // False if this is no terminal that a screen can be shown on.
  static bool IsPossible();

  // Until somebody quits, or `stop` is set.
  void Run(const std::atomic<bool>& stop);

 private:
  enum class Mode { kList, kFilter, kKill, kHistory, kHelp };

  void Draw();
  int DrawHeader(const std::vector<EndpointState>& states);
  void DrawTasks(int top);
  void DrawHistory(int top);
  void DrawHelp(int top);
  void DrawBottom();
  void Line(int row, const std::string& safe, int attributes);

  void TakeKey(int key);
  void TakeListKey(int key);
  void TakePromptKey(int key);
  void EndPrompt(bool accept);
  void Select(long place);
  const TaskRow* Selected() const;

  Cluster* const cluster_;
  ListSettings list_;
  bool with_finished_;
  bool is_paused_ = false;
  bool quit_ = false;
  Mode mode_ = Mode::kList;
  std::vector<EndpointState> states_;
  std::vector<TaskRow> tasks_;
  SteadyTime drawn_at_;
  // Kept while the list changes below it.
  std::string selected_endpoint_;
  std::string selected_id_;
  size_t selected_ = 0;
  size_t first_shown_ = 0;
  int page_rows_ = 1;
  size_t first_history_line_ = 0;
  TaskRow victim_;  // of the kill that is being asked for
  std::string input_;
  std::string message_;
  SteadyTime message_until_;
};

}  // namespace slipstream_top
