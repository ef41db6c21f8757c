// Package cli is what the commands share: how a command line that makes no sense
// is refused, and what a program's exit code says.
package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Exit codes.
const (
	// Failed: what was asked failed, or a verdict is bad.
	Failed = 1
	// Usage: what was asked makes no sense.
	Usage = 2
	// killed: a signal that would have been ignored ended the program, as shells count SIGINT.
	killed = 130
)

// usageError is an error of whoever typed the command.
type usageError struct{ error }

// Usagef is an error of whoever typed the command.
func Usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// ErrSilent is a failure that the command has told of itself.
var ErrSilent = errors.New("failed")

// Main carries out the program's command line, until a signal asks it to stop,
// and exits. A second signal ends the program at once, whatever it waits for.
func Main(root *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() {
		again := make(chan os.Signal, 1)
		signal.Notify(again, os.Interrupt, syscall.SIGTERM)
		s := <-again
		// Whoever waits for the program sees what ended it, unless the signal was to be ignored
		// when it began, as a shell has it for what runs in its background.
		signal.Reset(s)
		if self, err := os.FindProcess(os.Getpid()); err == nil && self.Signal(s) == nil {
			time.Sleep(100 * time.Millisecond)
		}
		os.Exit(killed)
	})
	code := Run(ctx, root, os.Args[1:])
	stop()
	os.Exit(code)
}

// Run carries out a command line and gives the exit code.
func Run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error {
		if err := cmd.ValidateFlagGroups(); err != nil {
			return usageError{err}
		}
		return refuseEmpty(cmd.Flags())
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(root.ErrOrStderr(), "%s: %v\nSee '%s help', or add --help to the command.\n", root.Name(), err, root.Name())
		return Usage
	case !errors.Is(err, ErrSilent):
		fmt.Fprintf(root.ErrOrStderr(), "%s: %v\n", root.Name(), err)
	}
	return Failed
}

// refuseEmpty refuses flags that were given with an empty value, such as --topic "$TOPIC" where
// there is no TOPIC. What most flags leave open when they are not given is everything, and
// whoever gives one does not mean that.
func refuseEmpty(flags *pflag.FlagSet) error {
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			values = list.GetSlice()
		}
		if len(values) == 0 || slices.Contains(values, "") {
			errs = append(errs, Usagef("--%s was given with an empty value; give it one, or leave the flag out", f.Name))
		}
	})
	return errors.Join(errs...)
}

// NoArguments refuses arguments, as an error of usage.
func NoArguments(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return Usagef("%q is no command of %s", args[0], cmd.CommandPath())
	}
	return Usagef("%s takes no argument, but has %q", cmd.CommandPath(), args[0])
}

// Arguments asks for a number of arguments, as an error of usage.
func Arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return Usagef("%s takes %s, but has %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// Group is a command that only holds others.
func Group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return Usagef("%s needs one of its commands: add --help to see them", cmd.CommandPath())
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}
