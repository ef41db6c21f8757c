package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

// clusterView is what 'cluster status' shows. Its JSON is for scripts.
type clusterView struct {
	Cluster    string          `json:"cluster"`
	Nodes      []nodeView      `json:"nodes"`
	Partitions []partitionView `json:"partitions"`
}

type nodeView struct {
	ID      uint64 `json:"id"`
	Address string `json:"address"`
	// Meta is the node's part in the meta group: leader, voter or learner.
	Meta string `json:"meta"`
	// Answers: the node has said what follows.
	Answers  bool   `json:"answers"`
	Version  string `json:"version,omitempty"`
	Replicas int    `json:"replicas"`
	Leads    int    `json:"leads"`
}

type partitionView struct {
	Topic     string        `json:"topic"`
	Partition int32         `json:"partition"`
	Leader    uint64        `json:"leader"` // 0: none
	Replicas  []replicaView `json:"replicas"`
	// Start and End are null where the leader does not say.
	Start *int64 `json:"start"`
	End   *int64 `json:"end"`
}

type replicaView struct {
	Node     uint64 `json:"node"`
	Adding   bool   `json:"adding,omitempty"`
	Removing bool   `json:"removing,omitempty"`
	// Elected: somebody made it the leader, and leaders are evened out around it.
	Elected bool `json:"elected,omitempty"`
	// Lag counts the entries that the leader has committed and this replica has not
	// applied; null where one of the two does not say.
	Lag *uint64 `json:"lag"`
	// Copied of CopyBytes are there, while the replica copies its log.
	Copied    int64 `json:"copied_bytes,omitempty"`
	CopyBytes int64 `json:"copy_bytes,omitempty"`
}

func newStatus() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the nodes, the leaders, and how far each replica is", Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				v, err := viewCluster(cmd.Context(), cl)
				if err != nil {
					return err
				}
				return show(cmd.OutOrStdout(), asJSON, v, v.table)
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	return cmd
}

func registerJSON(cmd *cobra.Command, asJSON *bool) {
	cmd.Flags().BoolVar(asJSON, "json", false, "print JSON for scripts instead of tables")
}

// show prints a value as JSON, or as tables.
func show(out io.Writer, asJSON bool, v any, tables func(io.Writer) error) error {
	if !asJSON {
		return tables(out)
	}
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// viewCluster asks for the metadata, and every node for its replicas.
func viewCluster(ctx context.Context, cl *client.Client) (*clusterView, error) {
	m, err := cl.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	v := &clusterView{Cluster: m.ClusterId, Nodes: []nodeView{}, Partitions: []partitionView{}}
	groups := make(map[uint64]map[uint64]*api.GroupStatus) // by node and group
	for _, node := range m.Nodes {
		n := nodeView{ID: node.Id, Address: node.Address, Meta: metaRole(m, node)}
		if groups[node.Id], err = n.ask(ctx, cl); err != nil {
			return nil, err
		}
		v.Nodes = append(v.Nodes, n)
	}
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			v.Partitions = append(v.Partitions, viewPartition(t.Name, p, groups))
		}
	}
	return v, nil
}

// ask has the node describe itself. It may not answer; that nobody may ask it is an error.
func (n *nodeView) ask(ctx context.Context, cl *client.Client) (map[uint64]*api.GroupStatus, error) {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	d, err := cl.DescribeNode(ctx, n.Address)
	if errors.Is(err, client.ErrClusterAuthorization) {
		return nil, err
	}
	if err != nil {
		return nil, nil
	}
	n.Answers, n.Version = true, d.Version
	groups := make(map[uint64]*api.GroupStatus)
	for _, g := range d.Groups {
		groups[g.Group] = g
		if api.GroupID(g.Group) == api.MetaGroup {
			continue
		}
		n.Replicas++
		if g.Role == "leader" {
			n.Leads++
		}
	}
	return groups, nil
}

func viewPartition(topic string, p *api.PartitionInfo, groups map[uint64]map[uint64]*api.GroupStatus) partitionView {
	v := partitionView{Topic: topic, Partition: p.Partition, Leader: p.Leader}
	lead := groups[p.Leader][p.Group]
	if lead != nil {
		v.Start, v.End = &lead.LogStart, &lead.LogEnd
	}
	for _, r := range sortedReplicas(p) {
		replica := replicaView{Node: r.Node, Adding: r.Adding, Removing: r.Removing, Elected: r.Elected}
		g := groups[r.Node][p.Group]
		if g != nil && lead != nil {
			lag := max(lead.Commit, g.Applied) - g.Applied
			replica.Lag = &lag
		}
		replica.Copied, replica.CopyBytes = g.GetCopiedBytes(), g.GetCopyBytes()
		v.Replicas = append(v.Replicas, replica)
	}
	return v
}

func metaRole(m *api.MetadataResponse, node *api.NodeInfo) string {
	switch {
	case m.MetaLeader == node.Id:
		return "leader"
	case node.MetaVoter:
		return "voter"
	}
	return "learner"
}

// table prints the view for people.
func (v *clusterView) table(out io.Writer) error {
	fmt.Fprintf(out, "cluster %s\n\n", v.Cluster)
	table := newTable(out, "NODE", "ADDRESS", "META", "VERSION", "REPLICAS", "LEADS")
	for _, n := range v.Nodes {
		says := "does not answer\t\t"
		if n.Answers {
			says = fmt.Sprintf("%s\t%d\t%d", n.Version, n.Replicas, n.Leads)
		}
		fmt.Fprintf(table, "%d\t%s\t%s\t%s\n", n.ID, n.Address, n.Meta, says)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	table = newTable(out, "PARTITION", "LEADER", "REPLICAS", "START", "END", "LAG")
	for _, p := range v.Partitions {
		fmt.Fprintf(table, "%s/%d\t%s\t%s\t%s\t%s\t%s\n",
			p.Topic, p.Partition, leaderName(p.Leader), p.names(), known(p.Start), known(p.End), p.lags())
	}
	return table.Flush()
}

// names lists the nodes, with + on those being added, - on those being removed, and * on
// one that was elected.
func (p *partitionView) names() string {
	var names []string
	for _, r := range p.Replicas {
		names = append(names, replicaName(r.Node, r.Adding, r.Removing, r.Elected))
	}
	return strings.Join(names, ",")
}

// lags gives how far each follower is behind, or how much it has of the log that it copies.
func (p *partitionView) lags() string {
	if p.End == nil {
		return "?"
	}
	var lags []string
	for _, r := range p.Replicas {
		switch {
		case r.Node == p.Leader:
		case r.CopyBytes > 0:
			lags = append(lags, fmt.Sprintf("%d:copies %d%%", r.Node, 100*r.Copied/r.CopyBytes))
		default:
			lags = append(lags, fmt.Sprintf("%d:%s", r.Node, known(r.Lag)))
		}
	}
	return strings.Join(lags, " ")
}

func known[T any](value *T) string {
	if value == nil {
		return "?"
	}
	return fmt.Sprint(*value)
}
