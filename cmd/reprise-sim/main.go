// Command reprise-sim is the laboratory: it runs whole clusters from seeds, judges
// them, and shows what happened in one.
//
// It exits 0 when all is well, 1 when a verdict or an operation failed, and 2 when
// what was asked makes no sense.
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

// errVerdict: what was asked was done, and its verdict is a failure. The verdict
// has been printed.
var errVerdict = errors.New("verdict: fail")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(execute(ctx, newRoot(), os.Args[1:]))
}

// execute carries a command line out and gives the exit code.
func execute(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage):
		fmt.Fprintf(root.ErrOrStderr(), "reprise-sim: %v\nSee 'reprise-sim help' or add --help to the command.\n", err)
		return exitUsage
	case !errors.Is(err, errVerdict):
		fmt.Fprintf(root.ErrOrStderr(), "reprise-sim: %v\n", err)
	}
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "reprise-sim",
		Short: "Runs whole Reprise clusters from seeds, with faults, and judges them",
		Long: `reprise-sim runs a cluster of real Reprise nodes and clients in one process, with a
clock, disks and a network that a seed determines, lets faults happen, and judges
what the clients saw and what the nodes did.

  reprise-sim run --seeds 1..200     200 clusters, a verdict for each
  reprise-sim run --seed 7           one of them again: the same, bit for bit
  reprise-sim inspect --seed 7       what happened in it, in plain words`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          none,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newRun(), newReplay(), newCheck(), newInspect(), newCampaign(), newShrink(), newDiff(), newMerge(), newAudit(), newWorker())
	return root
}

// none refuses arguments, as an error of usage.
func none(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasSubCommands():
		return usagef("%q is no command of %s", args[0], cmd.CommandPath())
	}
	return usagef("%s takes no argument, but has %q", cmd.CommandPath(), args[0])
}

// files asks for at least one file, and at most so many, as an error of usage.
func files(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) > most {
			return usagef("%s takes %s, but has %d", cmd.CommandPath(), cmd.Use[len(cmd.Name())+1:], len(args))
		}
		return nil
	}
}
