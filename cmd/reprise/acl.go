package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-mq/reprise/broker/access"
	"github.com/reprise-mq/reprise/broker/api"
	"github.com/reprise-mq/reprise/broker/batch"
	"github.com/reprise-mq/reprise/broker/client"
	"github.com/reprise-mq/reprise/cmd/cli"
)

func newACL() *cobra.Command {
	return cli.Group("acl", "Add, remove and list ACLs: who may do what", newACLAdd(), newACLRemove(), newACLList())
}

// aclFlags name ACLs, or in a filter some of what they have.
type aclFlags struct {
	connection
	principals, operations, topics, groups []string
	cluster, prefixed, literal             bool
	allow, deny                            bool
	asJSON                                 bool
}

func (f *aclFlags) register(cmd *cobra.Command) {
	f.connection.register(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.principals, "principal", nil, "whom it is about: User:NAME, User:SUBJECT of a certificate, or User:* for everyone")
	flags.StringSliceVar(&f.operations, "operation", nil, "of all, read, write, create, delete, alter, describe, cluster-action, alter-configs")
	flags.StringArrayVar(&f.topics, "topic", nil, "name of a topic, or * for every one")
	flags.StringArrayVar(&f.groups, "group", nil, "name of a consumer group, or * for every one")
	flags.BoolVar(&f.cluster, "cluster", false, "the cluster itself")
	flags.BoolVar(&f.prefixed, "prefixed", false, "names are what the names of topics or groups begin with")
}

const aclMeaning = `What no ACL allows is denied, and what one denies no other allows. To read, write,
delete or alter includes to describe. What each operation is for:
  topic    read, write, create, delete (also records), describe, alter (partitions),
           alter-configs
  group    read (join, commit), describe, delete
  cluster  create (topics), describe (nodes, users, ACLs), alter (users, ACLs, moves,
           leaders), cluster-action (what nodes ask each other)
A consumer needs read on its topics and on its group, a producer write on its topics.`

func newACLAdd() *cobra.Command {
	var f aclFlags
	cmd := &cobra.Command{
		Use:   "add --principal User:NAME --operation OPERATION,... (--topic NAME | --group NAME | --cluster)",
		Short: "Allow or deny principals operations",
		Long:  "Allow or deny principals operations on topics, groups or the cluster.\n\n" + aclMeaning,
		Example: `  reprise acl add --principal User:alice --operation read,write --topic orders --bootstrap 127.0.0.1:9001
  reprise acl add --principal User:alice --operation read --group billing- --prefixed --bootstrap 127.0.0.1:9001
  reprise acl add --principal User:bob --operation all --topic secret --deny --bootstrap 127.0.0.1:9001`,
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			acls, err := f.acls()
			if err != nil {
				return err
			}
			return f.with(cmd.Context(), batch.None, func(cl *client.Client) error { return cl.CreateAcls(cmd.Context(), acls...) })
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&f.deny, "deny", false, "deny it, whatever else allows it")
	return cmd
}

func newACLRemove() *cobra.Command {
	var f aclFlags
	var all bool
	cmd := &cobra.Command{
		Use: "remove", Short: "Remove the ACLs that fit all that is given, and show them",
		Long: `Remove the ACLs that fit all that is given, and show them. What is not given may be
anything: with --topic orders alone, every ACL that names topic orders is removed.`,
		Example: `  reprise acl remove --principal User:alice --topic orders --bootstrap 127.0.0.1:9001`,
		Args:    cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filters, err := f.filters()
			if err != nil {
				return err
			}
			if any := len(filters) == 1 && access.RuleOf(filters[0]) == (access.Rule{}); any != all {
				return cli.Usagef("acl remove needs something that ACLs are to fit, or --all, and not both")
			}
			return f.list(cmd, func(ctx context.Context, cl *client.Client) ([]*api.Acl, error) {
				return cl.DeleteAcls(ctx, filters...)
			})
		},
	}
	f.registerFilter(cmd)
	cmd.Flags().BoolVar(&all, "all", false, "remove every ACL there is")
	return cmd
}

func newACLList() *cobra.Command {
	var f aclFlags
	cmd := &cobra.Command{
		Use: "list", Short: "List the ACLs that fit all that is given",
		Args: cli.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filters, err := f.filters()
			if err != nil {
				return err
			}
			return f.list(cmd, func(ctx context.Context, cl *client.Client) ([]*api.Acl, error) {
				var all []*api.Acl
				for _, filter := range filters {
					some, err := cl.DescribeAcls(ctx, filter)
					if err != nil {
						return nil, err
					}
					all = append(all, some...)
				}
				return all, nil
			})
		},
	}
	f.registerFilter(cmd)
	return cmd
}

func (f *aclFlags) registerFilter(cmd *cobra.Command) {
	f.register(cmd)
	cmd.Flags().BoolVar(&f.literal, "literal", false, "only those that name a whole name, or *")
	cmd.Flags().BoolVar(&f.allow, "allow", false, "only those that allow")
	cmd.Flags().BoolVar(&f.deny, "deny", false, "only those that deny")
	registerJSON(cmd, &f.asJSON)
}

// acls are all that the flags name together.
func (f *aclFlags) acls() ([]*api.Acl, error) {
	if len(f.principals) == 0 || len(f.operations) == 0 || len(f.topics)+len(f.groups) == 0 && !f.cluster {
		return nil, cli.Usagef("acl add needs --principal, --operation, and --topic, --group or --cluster")
	}
	f.literal, f.allow = !f.prefixed, !f.deny
	list, err := f.filters()
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		if a.Resource == api.Acl_CLUSTER {
			a.Pattern = api.Acl_LITERAL
		}
		if err := access.RuleOf(a).Check(); err != nil {
			return nil, cli.Usagef("%s", err.Message)
		}
	}
	if len(list) > access.MaxAtOnce {
		return nil, cli.Usagef("these are %d ACLs, and %d go at once; use prefixes, or several commands", len(list), access.MaxAtOnce)
	}
	return list, nil
}

// filters are what the flags leave open, each principal with each operation on each resource.
func (f *aclFlags) filters() ([]*api.Acl, error) {
	if f.allow && f.deny || f.literal && f.prefixed {
		return nil, cli.Usagef("no ACL allows and denies, or is literal and prefixed; give one of each")
	}
	common := &api.Acl{}
	switch {
	case f.allow:
		common.Permission = api.Acl_ALLOW
	case f.deny:
		common.Permission = api.Acl_DENY
	}
	switch {
	case f.literal:
		common.Pattern = api.Acl_LITERAL
	case f.prefixed:
		common.Pattern = api.Acl_PREFIXED
	}
	list := f.resources(common)
	operations, err := operationsOf(f.operations)
	if err != nil {
		return nil, err
	}
	list = each(list, operations, func(a *api.Acl, o api.Acl_Operation) { a.Operation = o })
	return each(list, f.principals, func(a *api.Acl, p string) { a.Principal = p }), nil
}

// resources gives an ACL each of the resources that the flags name.
func (f *aclFlags) resources(common *api.Acl) []*api.Acl {
	var list []*api.Acl
	one := []*api.Acl{common}
	named := func(kind api.Acl_Resource) func(*api.Acl, string) {
		return func(a *api.Acl, name string) { a.Resource, a.Name = kind, name }
	}
	if len(f.topics) > 0 {
		list = append(list, each(one, f.topics, named(api.Acl_TOPIC))...)
	}
	if len(f.groups) > 0 {
		list = append(list, each(one, f.groups, named(api.Acl_GROUP))...)
	}
	if f.cluster {
		list = append(list, each(one, []string{access.ClusterName}, named(api.Acl_CLUSTER))...)
	}
	if len(list) == 0 {
		return one
	}
	return list
}

// each gives every ACL every value, or leaves them as they are where there is none.
func each[T any](list []*api.Acl, values []T, set func(*api.Acl, T)) []*api.Acl {
	if len(values) == 0 {
		return list
	}
	var out []*api.Acl
	for _, a := range list {
		for _, v := range values {
			made := access.RuleOf(a).Acl()
			set(made, v)
			out = append(out, made)
		}
	}
	return out
}

func operationsOf(names []string) ([]api.Acl_Operation, error) {
	var list []api.Acl_Operation
	for _, name := range names {
		upper := strings.ReplaceAll(strings.ToUpper(name), "-", "_")
		if upper == "ALL" {
			upper = api.Acl_ALL_OPERATIONS.String()
		}
		number, known := api.Acl_Operation_value[upper]
		if !known || number == int32(api.Acl_ANY_OPERATION) {
			return nil, cli.Usagef("--operation %q is none of all, read, write, create, delete, alter, describe, cluster-action, alter-configs", name)
		}
		list = append(list, api.Acl_Operation(number))
	}
	return list, nil
}

// aclView is an ACL as people and scripts see it.
type aclView struct {
	Principal  string `json:"principal"`
	Permission string `json:"permission"`
	Operation  string `json:"operation"`
	Resource   string `json:"resource"`
	Pattern    string `json:"pattern"`
	Name       string `json:"name"`
}

func viewACL(a *api.Acl) aclView {
	word := func(text string) string { return strings.ReplaceAll(strings.ToLower(text), "_", "-") }
	v := aclView{a.GetPrincipal(), word(a.GetPermission().String()), word(a.GetOperation().String()),
		word(a.GetResource().String()), word(a.GetPattern().String()), a.GetName()}
	if a.GetOperation() == api.Acl_ALL_OPERATIONS {
		v.Operation = "all"
	}
	return v
}

// list shows ACLs that ask gives, each once.
func (f *aclFlags) list(cmd *cobra.Command, ask func(context.Context, *client.Client) ([]*api.Acl, error)) error {
	return f.with(cmd.Context(), batch.None, func(cl *client.Client) error {
		list, err := ask(cmd.Context(), cl)
		if err != nil {
			return err
		}
		views := []aclView{}
		for _, a := range list {
			if v := viewACL(a); !slices.Contains(views, v) {
				views = append(views, v)
			}
		}
		return show(cmd.OutOrStdout(), f.asJSON, views, func(out io.Writer) error {
			table := newTable(out, "PRINCIPAL", "PERMISSION", "OPERATION", "RESOURCE", "PATTERN", "NAME")
			for _, v := range views {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", v.Principal, v.Permission, v.Operation, v.Resource, v.Pattern, v.Name)
			}
			return table.Flush()
		})
	})
}
