// Command reprise is the product: it runs nodes, and asks them for things.
//
// It exits 0 when all is well, 1 when what was asked failed, and 2 when what was
// asked makes no sense.
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
		Version: version,
		Args:    cli.NoArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(newServe(), newDev(), newTopic(), newProduce(), newConsume(), newGroup(), newProducer(), newUser(), newACL(), newCluster(), newBench())
	return root
}
