package cli_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
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

// The first signal asks a program to stop, and the second ends it.
func TestSecondSignal(t *testing.T) {
	program := exec.Command(os.Args[0])
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
	// It says so while it takes the second signal's meaning back, so that is sent again.
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
	if status, ok := program.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, want the second signal to end it", program.ProcessState)
	}
}
