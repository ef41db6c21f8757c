// Command reprise is the product: it runs nodes, and asks them for things.
//
// It exits 0 when all is well, 1 when what was asked failed, and 2 when what was
// asked makes no sense.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is what --version prints; a release sets it when it links.
var version = "0.1.0-dev"

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// usageError is an error of whoever typed the command.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, newRoot(), os.Args[1:]))
}

// run carries a command line out and gives the exit code.
func run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(root.ErrOrStderr(), "reprise: %v\nSee 'reprise help' or add --help to the command.\n", err)
		return exitUsage
	default:
		fmt.Fprintf(root.ErrOrStderr(), "reprise: %v\n", err)
		return exitFailed
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "reprise",
		Short: "A replicated message broker that can be run again from a seed",
		Long: `Reprise is a replicated message broker with Kafka's model of topics, partitions
and offsets. An acknowledged record is synced on a majority of its replicas.

A whole cluster on this machine, to try things:
  reprise dev

Three nodes by hand:
  reprise serve --data n1 --listen 127.0.0.1:9001 --init
  reprise serve --data n2 --listen 127.0.0.1:9002 --join 127.0.0.1:9001
  reprise serve --data n3 --listen 127.0.0.1:9003 --join 127.0.0.1:9001

Then:
  reprise topic create orders --partitions 4 --bootstrap 127.0.0.1:9001
  echo hello | reprise produce --topic orders --bootstrap 127.0.0.1:9001
  reprise consume --topic orders --from earliest --bootstrap 127.0.0.1:9001`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServe(), newDev(), newTopic(), newProduce(), newConsume(), newCluster(), newBench())
	return root
}

// noArguments refuses arguments, as an error of usage.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usagef("%q is no command of %s", args[0], cmd.CommandPath())
	}
	return usagef("%s takes no argument, but has %q", cmd.CommandPath(), args[0])
}

// arguments asks for a number of arguments, as an error of usage.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || len(args) > most {
			return usagef("%s takes %s, but has %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

// group is a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return usagef("%s needs one of its commands: add --help to see them", cmd.CommandPath())
		},
	}
	cmd.AddCommand(commands...)
	return cmd
}
