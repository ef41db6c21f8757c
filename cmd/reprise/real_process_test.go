package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The tests of this package run the command as its users do: as processes of its
// own binary, on loopback ports, with data in folders of the tests.

// The commands are built once, by the first test that needs them.
var (
	// buildFolder holds the binaries; TestMain removes it.
	buildFolder   string
	product       = sync.OnceValues(func() (string, error) { return build("reprise") })
	laboratory    = sync.OnceValues(func() (string, error) { return build("reprise-sim") })
	makeTheFolder = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "reprise-test-") })
)

func TestMain(m *testing.M) {
	if plan := os.Getenv(memberVariable); plan != "" {
		os.Exit(beMember(plan))
	}
	code := m.Run()
	if buildFolder != "" {
		os.RemoveAll(buildFolder)
	}
	os.Exit(code)
}

// build builds a command of the module and gives the path of its binary.
func build(name string) (path string, err error) {
	if buildFolder, err = makeTheFolder(); err != nil {
		return "", err
	}
	path = filepath.Join(buildFolder, name)
	if out, err := exec.Command("go", "build", "-o", path, "../"+name).CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return path, nil
}

// binary gives the path of a command, or ends the test.
func binary(t *testing.T, built func() (string, error)) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a running command of the binary.
type process struct {
	t       *testing.T
	command *exec.Cmd
	// log has what the process printed, both streams.
	log string
	// exited is closed when the process has ended.
	exited chan struct{}
}

// start runs the binary.
func start(t *testing.T, log string, args ...string) *process {
	t.Helper()
	return launch(t, log, exec.Command(binary(t, product), args...))
}

// launch starts a command. Its process ends with the test at the latest, and with the
// test's own process if that is killed.
func launch(t *testing.T, log string, command *exec.Cmd) *process {
	t.Helper()
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p := &process{t: t, command: command, log: log, exited: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = out, out
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.command.Wait() // the state has the outcome
		close(p.exited)
	}()
	t.Cleanup(p.kill)
	return p
}

// kill is kill -9. It returns when the process is gone.
func (p *process) kill() {
	select {
	case <-p.exited:
		return
	default:
	}
	if err := syscall.Kill(-p.command.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		p.t.Errorf("kill -9 %d: %v", p.command.Process.Pid, err)
	}
	<-p.exited
}

// terminate is what a service manager does. It returns the exit code.
func (p *process) terminate() int {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	return p.wait()
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.command.Process.Signal(s); err != nil {
		p.t.Errorf("%v: %v", s, err)
	}
}

// wait gives the exit code of a process that ends by itself.
func (p *process) wait() int {
	p.t.Helper()
	const patience = 30 * time.Second
	select {
	case <-p.exited:
		return p.command.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("the process still runs after %v; it printed:\n%s", patience, p.printed())
		return -1
	}
}

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

func (p *process) printed() string {
	data, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// outcome is how a command that ends by itself has ended.
type outcome struct {
	code   int
	output string
	errors string
}

// run runs a command of the product to its end.
func run(t *testing.T, input string, args ...string) outcome {
	t.Helper()
	return runTo(t, exec.Command(binary(t, product), args...), input)
}

// runTo runs a command to its end.
func runTo(t *testing.T, command *exec.Cmd, input string) outcome {
	t.Helper()
	const patience = 60 * time.Second
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	var out, errs bytes.Buffer
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(input), &out, &errs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(patience, func() { _ = command.Process.Kill() })
	_ = command.Wait() // the state has the outcome
	if !late.Stop() {
		t.Fatalf("%q did not end in %v; it printed:\n%s%s", command.Args, patience, out.String(), errs.String())
	}
	return outcome{command.ProcessState.ExitCode(), out.String(), errs.String()}
}

// freeAddress finds a port that nobody listens at, below those that the operating
// system gives to connections: a node that is started again must find it free.
func freeAddress(t *testing.T) string {
	t.Helper()
	const first, last, tries = 15000, 30000, 100
	for range tries {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatalf("no free port between %d and %d", first, last)
	return ""
}

// await looks again and again until what is waited for is there.
func await(t *testing.T, patience time.Duration, what string, done func() error) {
	t.Helper()
	const pause = 20 * time.Millisecond
	begun := time.Now()
	for {
		err := done()
		if err == nil {
			return
		}
		if time.Since(begun) > patience {
			t.Fatalf("after %v still not: %s: %v", patience, what, err)
		}
		time.Sleep(pause)
	}
}
