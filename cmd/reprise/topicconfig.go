package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

const configHelp = `The configs of a topic, by Kafka's names:

  retention.ms       how long records are kept after they came, at least, in
                     milliseconds; -1, the default, for ever
  retention.bytes    how much of each partition is kept, at least; -1, the default, all
  segment.bytes      size at which a segment is rolled
  max.message.bytes  bound of a record batch

Records go in pieces of a segment, or of an eighth of retention.ms, the oldest first. How
old they are is measured from when they came, whatever their time stamps say.`

// configView is one config. Its JSON is for scripts.
type configView struct {
	Name    string `json:"name"`
	Value   string `json:"value"`
	Default bool   `json:"default"`
}

func viewConfigs(t *api.TopicInfo) []configView {
	list := []configView{}
	for _, c := range t.Configs {
		list = append(list, configView{c.Name, c.Value, c.IsDefault})
	}
	return list
}

// setConfigs gives the configs that are not the default, for people.
func (t *topicView) setConfigs() string {
	var b strings.Builder
	for _, c := range t.Configs {
		if !c.Default && c.Name != "segment.bytes" {
			fmt.Fprintf(&b, ", %s=%s", c.Name, c.Value)
		}
	}
	return b.String()
}

// parseConfigs reads NAME=VALUE of a flag.
func parseConfigs(flag string, list []string) (map[string]string, error) {
	byName := map[string]string{}
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		if _, twice := byName[name]; !ok || name == "" || twice {
			return nil, cli.Usagef("--%s %q: give NAME=VALUE, and each name once", flag, text)
		}
		byName[name] = value
	}
	return byName, nil
}

func newTopicConfig() *cobra.Command {
	var c connection
	var asJSON bool
	var set []string
	var change client.TopicChange
	cmd := &cobra.Command{
		Use: "config NAME", Short: "Show or change a topic's configs", Args: cli.Arguments(1, 1, "the name of a topic"),
		Long: "Show the configs of a topic, after changing those that --set and --unset name; the\nothers stay as they are.\n\n" + configHelp,
		Example: `  reprise topic config orders --bootstrap 127.0.0.1:9001
  reprise topic config orders --set retention.ms=86400000 --unset retention.bytes --bootstrap 127.0.0.1:9001`,
		RunE: func(cmd *cobra.Command, args []string) error {
			byName, err := parseConfigs("set", set)
			if err != nil {
				return err
			}
			change.Set = byName
			if change.ValidateOnly && len(change.Set)+len(change.Unset) == 0 {
				return cli.Usagef("--dry-run needs --set or --unset: it says whether they could be done")
			}
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				if len(change.Set)+len(change.Unset) > 0 {
					if err := cl.AlterTopic(cmd.Context(), args[0], change); err != nil {
						return err
					}
				}
				m, err := cl.Metadata(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				configs := viewConfigs(m.Topics[0])
				return show(cmd.OutOrStdout(), asJSON, configs, func(out io.Writer) error { return configTable(out, configs) })
			})
		},
	}
	c.register(cmd)
	registerJSON(cmd, &asJSON)
	flags := cmd.Flags()
	flags.StringArrayVar(&set, "set", nil, "a config to set, as NAME=VALUE; may be given several times")
	flags.StringArrayVar(&change.Unset, "unset", nil, "a config to put back to its default; may be given several times")
	flags.BoolVar(&change.ValidateOnly, "dry-run", false, "change nothing; fail if what is asked for would be refused")
	return cmd
}

func configTable(out io.Writer, configs []configView) error {
	table := newTable(out, "CONFIG", "VALUE", "")
	for _, c := range configs {
		note := ""
		if c.Default {
			note = "default"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", c.Name, c.Value, note)
	}
	return table.Flush()
}

func newAddPartitions() *cobra.Command {
	var c connection
	var partitions int32
	cmd := &cobra.Command{
		Use: "add-partitions NAME --partitions N", Short: "Give a topic more partitions", Args: cli.Arguments(1, 1, "the name of a topic"),
		Long: `Give a topic more partitions: --partitions of them in all. There can never be fewer.

Equal keys go to one partition while their number stays as it is; afterwards a key may go
to another one than before, and its order across the change is not kept.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("partitions") {
				return cli.Usagef("add-partitions needs --partitions")
			}
			return c.with(cmd.Context(), batch.None, func(cl *client.Client) error {
				return cl.AddPartitions(cmd.Context(), args[0], partitions)
			})
		},
	}
	c.register(cmd)
	cmd.Flags().Int32Var(&partitions, "partitions", 0, "how many the topic is to have in the end")
	return cmd
}
