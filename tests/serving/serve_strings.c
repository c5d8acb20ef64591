/* Serves a SavedModel as a server does: without Python, through TensorFlow's C API.
 *
 * usage: serve_strings -m MODEL -t THREADS [-l LIBRARY]... [-i TENSOR:INDEX]... [-o TENSOR:INDEX]...
 *
 * Standard input has a row of a batch a line, with an input (a string) a column, tabs between them.
 * Every thread runs the whole batch, and then each row by itself. If all of them agree, standard
 * output has a row a line, with an output (strings, float32 or int32) a column, whose values have
 * blanks between them where a row has several; otherwise the program ends with status 3.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensorflow/c/c_api.h"
#include "tensorflow/c/tf_tstring.h"

enum { MAX_ENDS = 16, MAX_ROWS = 64, MAX_THREADS = 16, MAX_LINE = 1 << 20 };

static TF_Graph *graph;
static TF_Session *session;
static TF_Output inputs[MAX_ENDS], outputs[MAX_ENDS];
static int num_inputs, num_outputs, num_rows;
static char *columns[MAX_ROWS][MAX_ENDS];

static void check(TF_Status *status, const char *what) {
  if (TF_GetCode(status) != TF_OK) {
    fprintf(stderr, "%s: %s\n", what, TF_Message(status));
    exit(2);
  }
}

static TF_Output find_end(char *name) {
  char *colon = strrchr(name, ':');
  TF_Output end = {NULL, 0};
  if (colon != NULL) {
    *colon = '\0';
    end.oper = TF_GraphOperationByName(graph, name);
    end.index = atoi(colon + 1);
  }
  if (end.oper == NULL) {
    fprintf(stderr, "no tensor %s\n", name);
    exit(2);
  }
  return end;
}

static void free_strings(void *data, size_t length, void *unused) {
  TF_TString *strings = data;
  (void)unused;
  for (size_t i = 0; i < length / sizeof(TF_TString); ++i) TF_TString_Dealloc(&strings[i]);
  free(data);
}

static TF_Tensor *strings_of_rows(int first, int count, int column) {
  TF_TString *strings = calloc((size_t)count, sizeof(TF_TString));
  int64_t shape[1] = {count};
  for (int i = 0; i < count; ++i) {
    const char *text = columns[first + i][column];
    TF_TString_Init(&strings[i]);
    TF_TString_Copy(&strings[i], text, strlen(text));
  }
  return TF_NewTensor(TF_STRING, shape, 1, strings, (size_t)count * sizeof(TF_TString),
                      free_strings, NULL);
}

static void print_value(const TF_Tensor *tensor, int64_t index, FILE *text) {
  void *data = TF_TensorData(tensor);
  switch (TF_TensorType(tensor)) {
    case TF_STRING: {
      const TF_TString *string = (TF_TString *)data + index;
      fwrite(TF_TString_GetDataPointer(string), 1, TF_TString_GetSize(string), text);
      break;
    }
    case TF_FLOAT:
      fprintf(text, "%.3f", ((float *)data)[index]);
      break;
    case TF_INT32:
      fprintf(text, "%d", ((int *)data)[index]);
      break;
    default:
      fprintf(stderr, "an output is of an unknown type\n");
      exit(2);
  }
}

/* Appends the rows `first` to `first + count` of all outputs to `text`. */
static void run(int first, int count, FILE *text) {
  TF_Status *status = TF_NewStatus();
  TF_Tensor *values[MAX_ENDS], *results[MAX_ENDS] = {NULL};
  for (int i = 0; i < num_inputs; ++i) values[i] = strings_of_rows(first, count, i);
  TF_SessionRun(session, NULL, inputs, values, num_inputs, outputs, results, num_outputs, NULL, 0,
                NULL, status);
  check(status, "run");
  for (int row = 0; row < count; ++row) {
    for (int i = 0; i < num_outputs; ++i) {
      int64_t width = TF_TensorElementCount(results[i]) / count;
      for (int64_t k = 0; k < width; ++k) {
        if (k > 0) fputc(' ', text);
        print_value(results[i], row * width + k, text);
      }
      fputc(i + 1 < num_outputs ? '\t' : '\n', text);
    }
  }
  for (int i = 0; i < num_inputs; ++i) TF_DeleteTensor(values[i]);
  for (int i = 0; i < num_outputs; ++i) TF_DeleteTensor(results[i]);
  TF_DeleteStatus(status);
}

/* Gives the rows twice: of one batch, and of batches of one. */
static void *serve(void *unused) {
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);
  (void)unused;
  run(0, num_rows, stream);
  for (int row = 0; row < num_rows; ++row) run(row, 1, stream);
  fclose(stream);
  return text;
}

static void read_rows(void) {
  char *line = malloc(MAX_LINE);
  while (num_rows < MAX_ROWS && fgets(line, MAX_LINE, stdin) != NULL) {
    char *rest = strdup(line);
    rest[strcspn(rest, "\n")] = '\0';
    for (int i = 0; i < num_inputs; ++i) {
      columns[num_rows][i] = rest == NULL ? "" : strsep(&rest, "\t");
    }
    ++num_rows;
  }
  free(line);
}

int main(int argc, char **argv) {
  const char *model = NULL, *tags[] = {"serve"};
  char *input_names[MAX_ENDS], *output_names[MAX_ENDS];
  int num_threads = 1;
  TF_Status *status = TF_NewStatus();
  for (int i = 1; i + 1 < argc; i += 2) {
    char *value = argv[i + 1];
    switch (argv[i][1]) {
      case 'm': model = value; break;
      case 't': num_threads = atoi(value); break;
      case 'l': TF_LoadLibrary(value, status); check(status, value); break;
      case 'i': if (num_inputs < MAX_ENDS) input_names[num_inputs++] = value; break;
      case 'o': if (num_outputs < MAX_ENDS) output_names[num_outputs++] = value; break;
      default: fprintf(stderr, "unknown option %s\n", argv[i]); return 2;
    }
  }
  if (model == NULL || num_threads < 1 || num_threads > MAX_THREADS) {
    fprintf(stderr, "usage: see the beginning of the source\n");
    return 2;
  }
  graph = TF_NewGraph();
  TF_SessionOptions *options = TF_NewSessionOptions();
  session = TF_LoadSessionFromSavedModel(options, NULL, model, tags, 1, graph, NULL, status);
  check(status, "load");
  for (int i = 0; i < num_inputs; ++i) inputs[i] = find_end(input_names[i]);
  for (int i = 0; i < num_outputs; ++i) outputs[i] = find_end(output_names[i]);
  read_rows();

  pthread_t threads[MAX_THREADS];
  char *texts[MAX_THREADS];
  for (int i = 0; i < num_threads; ++i) pthread_create(&threads[i], NULL, serve, NULL);
  for (int i = 0; i < num_threads; ++i) pthread_join(threads[i], (void **)&texts[i]);
  size_t half = strlen(texts[0]) / 2;
  for (int i = 0; i < num_threads; ++i) {
    if (strcmp(texts[i], texts[0]) != 0) {
      fprintf(stderr, "thread %d differs:\n%s\n%s", i, texts[0], texts[i]);
      return 3;
    }
  }
  if (strncmp(texts[0], texts[0] + half, half) != 0) {
    fprintf(stderr, "a batch and its rows differ:\n%s", texts[0]);
    return 3;
  }
  fwrite(texts[0], 1, half, stdout);
  TF_CloseSession(session, status);
  check(status, "close");
  TF_DeleteSession(session, status);
  TF_DeleteGraph(graph);
  return 0;
}
