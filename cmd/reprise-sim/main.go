// Command reprise-sim is the laboratory: it runs whole clusters from seeds, judges
// them, and shows what happened in one.
//
// It exits 0 when all is well, 1 when a verdict or an operation failed, and 2 when
// what was asked makes no sense.
package main

import (
	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/cmd/cli"
)

// version is what --version prints; a release sets it when it links.
var version = "0.1.0-dev"

func main() { cli.Main(newRoot()) }

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
		Version: version,
		Args:    cli.NoArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newRun(), newScenarios(), newReplay(), newCheck(), newInspect(), newCampaign(), newShrink(), newDiff(), newMerge(), newAudit(), newWorker())
	return root
}

// files asks for at least one file, and at most so many, as an error of usage.
func files(most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 || len(args) > most {
			return cli.Usagef("%s takes %s, but has %d", cmd.CommandPath(), cmd.Use[len(cmd.Name())+1:], len(args))
		}
		return nil
	}
}
