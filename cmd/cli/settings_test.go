package cli_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/cmd/cli"
)

// outcome is what a command with settings was told, and how it ended.
type outcome struct {
	level string
	join  []string
	count int
	code  int
	says  string
}

func run(t *testing.T, file string, args ...string) outcome {
	t.Helper()
	var out outcome
	cmd := &cobra.Command{Use: "test", RunE: func(*cobra.Command, []string) error { return nil }}
	cmd.Flags().StringVar(&out.level, "log-level", "info", "")
	cmd.Flags().StringSliceVar(&out.join, "join", nil, "")
	cmd.Flags().IntVar(&out.count, "count", 1, "")
	cli.Settings(cmd, "SETTINGS_TEST_")
	if file != "" {
		path := filepath.Join(t.TempDir(), "settings.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	var errors bytes.Buffer
	cmd.SetErr(&errors)
	out.code = cli.Run(t.Context(), cmd, args)
	out.says = errors.String()
	return out
}

// The command line goes before the environment, that before the file, and that before
// what is so by itself.
func TestPrecedence(t *testing.T) {
	const file = "log-level: debug\njoin: [a:1, b:2]\ncount: 3\n"
	if got := run(t, ""); got.level != "info" || got.count != 1 || got.code != 0 {
		t.Errorf("by itself: %+v", got)
	}
	if got := run(t, file); got.level != "debug" || got.count != 3 || strings.Join(got.join, " ") != "a:1 b:2" || got.code != 0 {
		t.Errorf("from the file: %+v", got)
	}
	t.Setenv("SETTINGS_TEST_LOG_LEVEL", "warn")
	t.Setenv("SETTINGS_TEST_JOIN", "c:3")
	if got := run(t, file); got.level != "warn" || got.count != 3 || strings.Join(got.join, " ") != "c:3" {
		t.Errorf("from the environment: %+v", got)
	}
	if got := run(t, file, "--log-level", "error"); got.level != "error" || got.count != 3 {
		t.Errorf("from the command line: %+v", got)
	}
}

// An empty variable says nothing in the place of what the file says.
func TestEmptyVariable(t *testing.T) {
	t.Setenv("SETTINGS_TEST_JOIN", "")
	if got := run(t, "join: [a:1]"); len(got.join) != 0 || got.code != 0 {
		t.Errorf("%+v", got)
	}
}

// The file can be named by the environment.
func TestConfigFromTheEnvironment(t *testing.T) {
	path := filepath.Join(t.TempDir(), "settings.yaml")
	if err := os.WriteFile(path, []byte("count: 5"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SETTINGS_TEST_CONFIG", path)
	if got := run(t, ""); got.count != 5 {
		t.Errorf("%+v", got)
	}
}

// What makes no sense is an error of usage that says where it stands.
func TestBadSettings(t *testing.T) {
	for file, says := range map[string]string{
		"nonsense: 1":         `"nonsense" is no flag of this command`,
		"config: other":       `"config" is no flag of this command`,
		"count: many":         "settings.yaml: count",
		"count: {a: 1}":       "neither a word, a number nor a list",
		"join: [[a], b]":      "neither a word, a number nor a list",
		"[1, 2]":              "no YAML file of flags and values",
		"count: 1\ncount: 2":  "no YAML file of flags and values",
		"log-level: [\x00: }": "no YAML file of flags and values",
	} {
		if got := run(t, file); got.code != cli.Usage || !strings.Contains(got.says, says) {
			t.Errorf("%q: exit code %d, %s", file, got.code, got.says)
		}
	}
	if got := run(t, "", "--config", filepath.Join(t.TempDir(), "none")); got.code != cli.Usage || !strings.Contains(got.says, "--config") {
		t.Errorf("a file that is not there: %+v", got)
	}
	t.Setenv("SETTINGS_TEST_COUNT", "many")
	if got := run(t, ""); got.code != cli.Usage || !strings.Contains(got.says, "SETTINGS_TEST_COUNT") {
		t.Errorf("a bad variable: %+v", got)
	}
}
