#include "screen.h"

#include <curses.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <clocale>
#include <cstdlib>
#include <utility>

#include "safe_text.h"

namespace slipstream_top {
namespace {

constexpr int kKeyWaitMs = 100;
constexpr int kEscape = 27;
constexpr int kBackspace = 127;
constexpr int kControlH = 8;
constexpr int kControlU = 21;
constexpr size_t kMaxInputBytes = 400;
constexpr auto kMessageTime = std::chrono::seconds(8);

struct HelpLine {
  const char* key;
  const char* text;
};
constexpr HelpLine kHelp[] = {
    {"up, down, PgUp, PgDn, Home, End", "choose a task"},
    {"Enter, h", "the history of the chosen task"},
    {"k", "kill it: asks for a message, Esc lets it live"},
    {"s, r", "sort by the next column, reverse"},
    {"/", "filter: words that must all be in a task's line; empty = none"},
    {"f", "keep finished tasks in the list, or not"},
    {"space", "stop and go on"},
    {"q", "quit; leaves a history or this page, too"},
};

constexpr char kColumns[] = "ENDPOINT               ID           KIND         AGE     IN STATUS";

// A task that runs grows older between two answers, too.
std::string AgeNow(const TaskRow& task, SteadyTime since, int64_t age_us, SteadyTime now) {
  if (!task.is_running()) return AgeText(age_us);
  return AgeText(std::chrono::duration_cast<std::chrono::microseconds>(now - since).count());
}

std::string RowText(const TaskRow& task, SteadyTime now) {
  std::string text = Fit(SafeText(task.endpoint), 22, true) + " ";
  text += Fit(SafeText(task.id), 12, true) + " ";
  text += Fit(SafeText(task.kind), 12, true) + " ";
  text += Fit(AgeNow(task, task.began_at, task.age_us, now), 7, true) + " ";
  text += Fit(AgeNow(task, task.status_since, task.status_age_us, now), 7, true) + " ";
  return text + SafeText(TextOf(task));
}

}  // namespace

bool Screen::IsPossible() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0 && terminal != nullptr &&
         std::string(terminal) != "dumb";
}

Screen::Screen(Cluster* cluster, ListSettings list, bool with_finished)
    : cluster_(cluster), list_(std::move(list)), with_finished_(with_finished) {
  // Escape alone is a key: it is not waited for long whether more of a sequence comes.
  set_escdelay(25);
  initscr();
  cbreak();
  noecho();
  nonl();
  keypad(stdscr, TRUE);
  curs_set(0);
  timeout(kKeyWaitMs);
}

Screen::~Screen() { endwin(); }

void Screen::Run(const std::atomic<bool>& stop) {
  while (!stop && !quit_) {
    if (!is_paused_) {
      states_ = cluster_->States();
      tasks_ = SelectTasks(states_, list_);
    }
    if (std::optional<std::string> message = cluster_->TakeMessage(); message.has_value()) {
      message_ = std::move(*message);
      message_until_ = std::chrono::steady_clock::now() + kMessageTime;
    }
    Draw();
    const int key = getch();
    if (key != ERR) TakeKey(key);
  }
}

void Screen::Line(int row, const std::string& safe, int attributes) {
  if (row < 0 || row >= LINES) return;
  // The last column of the last line would scroll some terminals.
  const int columns = row == LINES - 1 ? COLS - 1 : COLS;
  attrset(attributes);
  mvaddstr(row, 0, Fit(safe, columns, true).c_str());
  attrset(A_NORMAL);
}

void Screen::Draw() {
  erase();
  const int top = DrawHeader(states_);
  switch (mode_) {
    case Mode::kHistory:
      DrawHistory(top);
      break;
    case Mode::kHelp:
      DrawHelp(top);
      break;
    default:
      DrawTasks(top);
  }
  DrawBottom();
  refresh();
}

int Screen::DrawHeader(const std::vector<EndpointState>& states) {
  const auto reached = std::count_if(states.begin(), states.end(),
                                     [](const auto& state) { return state.is_reached; });
  std::string title = std::to_string(tasks_.size()) + " tasks, " + std::to_string(reached) +
                      " of " + std::to_string(states.size()) + " endpoints, by " +
                      SortKeyName(list_.sort) + (list_.is_reversed ? " (reversed)" : "");
  if (with_finished_) title += ", with finished";
  if (!list_.filter.empty()) title += ", only \"" + SafeText(list_.filter) + "\"";
  if (is_paused_) title += ", PAUSED";
  Line(0, title, A_BOLD);
  int row = 1;
  // A third of the screen at most; the unreachable ones are what one wants to see then.
  std::vector<const EndpointState*> shown;
  for (const EndpointState& state : states) shown.push_back(&state);
  const size_t room = static_cast<size_t>(std::max(LINES / 3, 1));
  if (shown.size() > room) {
    std::stable_partition(shown.begin(), shown.end(), [](const EndpointState* state) {
      return state->was_asked && !state->is_reached;
    });
  }
  for (size_t i = 0; i < shown.size() && i < room && row < LINES - 2; ++i, ++row) {
    const bool is_bad = shown[i]->was_asked && !shown[i]->is_reached;
    Line(row, SafeText(SummaryOf(*shown[i])), is_bad ? A_BOLD : A_NORMAL);
  }
  return row;
}

void Screen::DrawTasks(int top) {
  Line(top, std::string(kColumns) + "  STATUS", A_REVERSE);
  page_rows_ = std::max(LINES - top - 2, 0);
  for (size_t i = 0; i < tasks_.size(); ++i) {
    if (tasks_[i].endpoint == selected_endpoint_ && tasks_[i].id == selected_id_) selected_ = i;
  }
  if (!tasks_.empty()) Select(static_cast<long>(selected_));
  const auto rows = static_cast<size_t>(page_rows_);
  if (rows == 0) return;
  if (selected_ < first_shown_) first_shown_ = selected_;
  if (selected_ >= first_shown_ + rows) first_shown_ = selected_ - rows + 1;
  first_shown_ = std::min(first_shown_, tasks_.size());
  if (!is_paused_) drawn_at_ = std::chrono::steady_clock::now();
  for (size_t i = 0; i < rows && first_shown_ + i < tasks_.size(); ++i) {
    Line(top + 1 + static_cast<int>(i), RowText(tasks_[first_shown_ + i], drawn_at_),
         first_shown_ + i == selected_ ? A_STANDOUT : A_NORMAL);
  }
}

void Screen::DrawHistory(int top) {
  const std::optional<HistoryView> view = cluster_->history();
  if (!view.has_value()) return;
  Line(top, "history of task " + SafeText(view->id) + " of " + SafeText(view->endpoint), A_REVERSE);
  std::vector<std::string> lines;
  if (const TaskRow* task = Selected(); task != nullptr && task->id == view->id) {
    lines.push_back(TextOf(*task));
  }
  lines.insert(lines.end(), view->lines.begin(), view->lines.end());
  if (view->lines.empty()) lines.emplace_back("...");
  page_rows_ = std::max(LINES - top - 2, 0);
  first_history_line_ = std::min(first_history_line_, lines.size() - 1);
  for (int i = 0; i < page_rows_; ++i) {
    const size_t line = first_history_line_ + static_cast<size_t>(i);
    if (line < lines.size()) Line(top + 1 + i, SafeText(lines[line]), A_NORMAL);
  }
}

void Screen::DrawHelp(int top) {
  Line(top, "keys", A_REVERSE);
  int row = top + 1;
  for (const HelpLine& line : kHelp) {
    if (row < LINES - 1) Line(row++, Fit(line.key, 34, true) + line.text, A_NORMAL);
  }
}

void Screen::DrawBottom() {
  const int row = LINES - 1;
  if (mode_ == Mode::kFilter) {
    Line(row, "filter: " + SafeText(input_) + "_", A_BOLD);
  } else if (mode_ == Mode::kKill) {
    Line(row,
         "kill " + SafeText(victim_.kind + " " + victim_.id) + ", message: " + SafeText(input_) +
             "_",
         A_BOLD);
  } else if (!message_.empty() && std::chrono::steady_clock::now() < message_until_) {
    Line(row, SafeText(message_), A_BOLD);
  } else {
    Line(row, "q quit  ? keys  / filter  s sort  f finished  h history  k kill", A_DIM);
  }
}

const TaskRow* Screen::Selected() const {
  return selected_ < tasks_.size() ? &tasks_[selected_] : nullptr;
}

void Screen::Select(long place) {
  if (tasks_.empty()) return;
  const long last = static_cast<long>(tasks_.size()) - 1;
  selected_ = static_cast<size_t>(std::clamp(place, 0L, last));
  selected_endpoint_ = tasks_[selected_].endpoint;
  selected_id_ = tasks_[selected_].id;
}

void Screen::TakeKey(int key) {
  if (key == KEY_RESIZE) return;  // the next drawing has the new size
  switch (mode_) {
    case Mode::kFilter:
    case Mode::kKill:
      TakePromptKey(key);
      return;
    case Mode::kHistory:
      if (key == KEY_DOWN) ++first_history_line_;
      if (key == KEY_UP && first_history_line_ > 0) --first_history_line_;
      [[fallthrough]];
    case Mode::kHelp:
      if (key == 'q' || key == 'h' || key == '?' || key == kEscape || key == '\r') {
        cluster_->HideHistory();
        mode_ = Mode::kList;
      }
      return;
    case Mode::kList:
      TakeListKey(key);
  }
}

void Screen::TakeListKey(int key) {
  const auto place = static_cast<long>(selected_);
  switch (key) {
    case 'q':
      quit_ = true;
      break;
    case '?':
      mode_ = Mode::kHelp;
      break;
    case KEY_UP:
      Select(place - 1);
      break;
    case KEY_DOWN:
      Select(place + 1);
      break;
    case KEY_PPAGE:
      Select(place - page_rows_);
      break;
    case KEY_NPAGE:
      Select(place + page_rows_);
      break;
    case KEY_HOME:
      Select(0);
      break;
    case KEY_END:
      Select(static_cast<long>(tasks_.size()));
      break;
    case 's': {
      const auto* const now = std::find(std::begin(kSortKeys), std::end(kSortKeys), list_.sort);
      list_.sort = now + 1 == std::end(kSortKeys) ? kSortKeys[0] : *(now + 1);
      break;
    }
    case 'r':
      list_.is_reversed = !list_.is_reversed;
      break;
    case 'f':
      with_finished_ = !with_finished_;
      cluster_->SetWithFinished(with_finished_);
      break;
    case ' ':
      is_paused_ = !is_paused_;
      break;
    case '/':
      mode_ = Mode::kFilter;
      input_ = list_.filter;
      break;
    case 'h':
    case '\r':
    case KEY_ENTER:
      if (const TaskRow* task = Selected(); task != nullptr) {
        cluster_->ShowHistory(*task);
        first_history_line_ = 0;
        mode_ = Mode::kHistory;
      }
      break;
    case 'k':
      if (const TaskRow* task = Selected(); task != nullptr) {
        victim_ = *task;  // the list may change while the message is written
        input_.clear();
        mode_ = Mode::kKill;
      }
      break;
    default:
      break;
  }
}

void Screen::TakePromptKey(int key) {
  switch (key) {
    case '\r':
    case KEY_ENTER:
      EndPrompt(true);
      break;
    case kEscape:
      EndPrompt(false);
      break;
    case KEY_BACKSPACE:
    case kBackspace:
    case kControlH:
      // A character of UTF-8 is taken back as a whole.
      while (!input_.empty() && (static_cast<unsigned char>(input_.back()) & 0xc0) == 0x80) {
        input_.pop_back();
      }
      if (!input_.empty()) input_.pop_back();
      break;
    case kControlU:
      input_.clear();
      break;
    default:
      if (key >= ' ' && key < 256 && input_.size() < kMaxInputBytes) {
        input_ += static_cast<char>(key);
      }
  }
}

void Screen::EndPrompt(bool accept) {
  if (accept && mode_ == Mode::kFilter) list_.filter = input_;
  if (accept && mode_ == Mode::kKill) {
    cluster_->Kill(victim_, input_.empty() ? "killed by slipstream_top" : input_);
  }
  mode_ = Mode::kList;
  input_.clear();
}

}  // namespace slipstream_top
