package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/cmd/cli"
)

// stubbornVariable has the test's binary be a program that does not stop when it is asked to.
const stubbornVariable = "CLI_TEST_STUBBORN"

func TestMain(m *testing.M) {
	if os.Getenv(stubbornVariable) == "" {
		os.Exit(m.Run())
	}
	cli.Main(&cobra.Command{Use: "stubborn", RunE: func(cmd *cobra.Command, _ []string) error {
		fmt.Println("ready")
		<-cmd.Context().Done()
		fmt.Println("asked")
		_, err := io.ReadAll(os.Stdin)
		return err
	}})
}

// The first signal asks a program to stop, and the second ends it, also where it was to ignore
// signals when it began.
func TestSecondSignal(t *testing.T) {
	state := interruptTwice(t, exec.Command(os.Args[0]))
	if status, ok := state.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want the second signal to end it", state)
	}
	if state := interruptTwice(t, exec.Command("sh", "-c", "trap '' INT; exec "+os.Args[0])); state.ExitCode() != 130 {
		t.Errorf("in the background it ended with %v", state)
	}
}

func interruptTwice(t *testing.T, program *exec.Cmd) *os.ProcessState {
	program.Env = append(os.Environ(), stubbornVariable+"=yes")
	in, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	says := func(want string) {
		t.Helper()
		if !said.Scan() || said.Text() != want {
			t.Errorf("it says %q, want %q", said.Text(), want)
		}
	}
	says("ready")
	_ = program.Process.Signal(os.Interrupt) // what it says next shows whether it arrived
	says("asked")
	// It says so while it gives the second signal its meaning, so that is sent again.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = program.Wait() // the state has the outcome
	}()
	const tries = 200
	for range tries {
		_ = program.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-ended:
		case <-time.After(10 * time.Millisecond):
			continue
		}
		break
	}
	in.Close()
	<-ended
	return program.ProcessState
}

// A flag that was given with an empty value is an error of usage, in whatever way it is given;
// one that was not given may be empty.
func TestEmptyValues(t *testing.T) {
	for _, args := range [][]string{
		{"sub", "--name", ""}, {"sub", "--name="}, {"sub", "-n", ""}, {"sub", "--list", ""}, {"sub", "--list", "a,"},
		{"sub", "--list="}, {"sub", "--all", ""}, {"sub", "--all", "a", "--all", ""}, {"sub", "--name", "a", "--list", ""},
	} {
		if code, says := runEmpty(args); code != cli.Usage || !strings.Contains(says, "was given with an empty value") {
			t.Errorf("%q: exit code %d, %s", args, code, says)
		}
	}
	for _, args := range [][]string{{"sub"}, {"sub", "--name", "a", "--list", "b,c", "--all", "d", "--count", "0"}} {
		if code, says := runEmpty(args); code != 0 {
			t.Errorf("%q: exit code %d, %s", args, code, says)
		}
	}
}

func runEmpty(args []string) (code int, says string) {
	sub := &cobra.Command{Use: "sub", RunE: func(*cobra.Command, []string) error { return nil }}
	sub.Flags().StringP("name", "n", "", "")
	sub.Flags().StringSlice("list", nil, "")
	sub.Flags().StringArray("all", nil, "")
	sub.Flags().Int("count", 0, "")
	root := &cobra.Command{Use: "test"}
	root.AddCommand(sub)
	var errs bytes.Buffer
	root.SetErr(&errs)
	code = cli.Run(context.Background(), root, args)
	return code, errs.String()
}
