package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newGroup() *cobra.Command {
	return cli.Group("group", "List, describe, reset and delete consumer groups",
		newGroupList(), newGroupDescribe(), newGroupReset(), newGroupDelete())
}

// groupSummary is a group as 'group list' shows it. Its JSON is for scripts.
type groupSummary struct {
	Group      string `json:"group"`
	Members    int32  `json:"members"`
	Generation uint64 `json:"generation"`
}

func newGroupList() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the groups", Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				list, err := cl.ListGroups(cmd.Context())
				if err != nil {
					return err
				}
				groups := []groupSummary{}
				for _, g := range list {
					groups = append(groups, groupSummary{g.Group, g.Members, g.Generation})
				}
				return show(cmd.OutOrStdout(), asJSON, groups, func(out io.Writer) error {
					table := newTable(out, "GROUP", "MEMBERS", "GENERATION")
					for _, g := range groups {
						fmt.Fprintf(table, "%s\t%d\t%d\n", g.Group, g.Members, g.Generation)
					}
					return table.Flush()
				})
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	return cmd
}

// groupView is a group as 'group describe' shows it. Its JSON is for scripts.
type groupView struct {
	Group      string            `json:"group"`
	Generation uint64            `json:"generation"`
	Assignor   string            `json:"assignor"`
	Members    []groupMemberView `json:"members"`
	Partitions []groupOffsetView `json:"partitions"`
}

type groupMemberView struct {
	Member   uint64   `json:"member"`
	Instance string   `json:"instance,omitempty"`
	Client   string   `json:"client"`
	Epoch    uint64   `json:"epoch"`
	Topics   []string `json:"topics"`
	// Partitions that it owns, as topic/number; Giving are those of them that it has been
	// told to give up.
	Partitions []string `json:"partitions"`
	Giving     []string `json:"giving,omitempty"`
}

// groupOffsetView is a partition that is committed in, or owned.
type groupOffsetView struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Offset is null where nothing is committed, End where the leader does not say; Lag
	// is what lies between them.
	Offset *int64 `json:"offset"`
	End    *int64 `json:"end"`
	Lag    *int64 `json:"lag"`
	// Member owns it, 0 for nobody.
	Member uint64 `json:"member"`

	id uint64 // of the topic
}

func newGroupDescribe() *cobra.Command {
	var c connection
	var asJSON bool
	cmd := &cobra.Command{
		Use: "describe NAME", Short: "Show a group's members, what each owns, and how far the group is behind",
		Args: cli.Arguments(1, 1, "the name of a group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				v, err := describeGroup(cmd.Context(), cl, args[0])
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

// describeGroup asks for a group, and for the ends of the partitions that it is about.
func describeGroup(ctx context.Context, cl *client.Client, name string) (*groupView, error) {
	d, err := cl.DescribeGroup(ctx, name)
	if err != nil {
		return nil, err
	}
	m, err := cl.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	v := &groupView{Group: name, Generation: d.Generation, Assignor: assignorName(d.Assignor), Members: []groupMemberView{}}
	names := topicNames(m)
	v.Partitions = viewOffsets(d, names)
	for _, g := range d.Members {
		v.Members = append(v.Members, groupMemberView{
			Member: g.Member, Instance: g.Instance, Client: g.Client, Epoch: g.Epoch, Topics: g.Topics,
			Partitions: partitionList(slices.Concat(g.Keeps, g.Gives), names), Giving: partitionList(g.Gives, names),
		})
	}
	var wg sync.WaitGroup
	asking := make(chan struct{}, maxAsked)
	for i := range v.Partitions {
		if _, there := names[v.Partitions[i].id]; !there {
			continue // deleted
		}
		asking <- struct{}{}
		wg.Go(func() {
			v.Partitions[i].ask(ctx, cl)
			<-asking
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("describe group %q: stopped before all ends were known: %w", name, err)
	}
	return v, nil
}

// maxAsked bounds the partitions whose ends are asked for at once.
const maxAsked = 1024

// ask asks for the end of the partition. One without a leader need not hide the others.
func (p *groupOffsetView) ask(ctx context.Context, cl *client.Client) {
	end, err := cl.ListOffsets(ctx, p.Topic, p.Partition, api.OffsetSpec_LATEST)
	if err != nil {
		return
	}
	p.End = &end
	if p.Offset != nil {
		lag := max(0, end-*p.Offset)
		p.Lag = &lag
	}
}

func assignorName(a api.Assignor) string {
	return strings.ReplaceAll(strings.ToLower(a.String()), "_", "-")
}

// topicNames names the topics that there are by their ids.
func topicNames(m *api.MetadataResponse) map[uint64]string {
	names := make(map[uint64]string)
	for _, t := range m.Topics {
		names[t.Id] = t.Name
	}
	return names
}

func nameOf(p *api.GroupPartition, names map[uint64]string) string {
	if name, there := names[p.GetTopicId()]; there {
		return name
	}
	return cmp.Or(p.GetTopic(), fmt.Sprintf("(deleted topic %d)", p.GetTopicId()))
}

func partitionList(list []*api.GroupPartition, names map[uint64]string) []string {
	all := []string{}
	for _, p := range list {
		all = append(all, fmt.Sprintf("%s/%d", nameOf(p, names), p.Partition))
	}
	slices.Sort(all)
	return all
}

// viewOffsets lists the partitions that are committed in or owned, in order.
func viewOffsets(d *api.DescribeGroupResponse, names map[uint64]string) []groupOffsetView {
	list := []groupOffsetView{}
	at := func(p *api.GroupPartition) *groupOffsetView {
		i := slices.IndexFunc(list, func(v groupOffsetView) bool {
			return v.id == p.GetTopicId() && v.Partition == p.GetPartition()
		})
		if i < 0 {
			i = len(list)
			list = append(list, groupOffsetView{Topic: nameOf(p, names), Partition: p.GetPartition(), id: p.GetTopicId()})
		}
		return &list[i]
	}
	for _, o := range d.Offsets {
		if v := at(o.Partition); o.Offset >= 0 {
			v.Offset = &o.Offset
		}
	}
	for _, m := range d.Members {
		for _, p := range slices.Concat(m.Keeps, m.Gives) {
			at(p).Member = m.Member
		}
	}
	slices.SortFunc(list, func(a, b groupOffsetView) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.id, b.id), cmp.Compare(a.Partition, b.Partition))
	})
	return list
}

// table prints the group for people.
func (v *groupView) table(out io.Writer) error {
	fmt.Fprintf(out, "group %s, generation %d, %s, %d members\n", v.Group, v.Generation, v.Assignor, len(v.Members))
	if len(v.Members) > 0 {
		table := newTable(out, "MEMBER", "INSTANCE", "CLIENT", "EPOCH", "PARTITIONS")
		for _, m := range v.Members {
			fmt.Fprintf(table, "%d\t%s\t%s\t%d\t%s\n", m.Member, cmp.Or(m.Instance, "-"), cmp.Or(m.Client, "-"), m.Epoch, cmp.Or(strings.Join(m.Partitions, " "), "-"))
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	table := newTable(out, "TOPIC", "PARTITION", "OFFSET", "END", "LAG", "MEMBER")
	for _, p := range v.Partitions {
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%s\n", p.Topic, p.Partition, known(p.Offset), known(p.End), known(p.Lag), leaderName(p.Member))
	}
	return table.Flush()
}

func newGroupDelete() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Delete a group that has no members, with its offsets", Args: cli.Arguments(1, 1, "the name of a group"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return cl.DeleteGroup(cmd.Context(), args[0])
			})
		},
	}
	c.register(cmd)
	return cmd
}
