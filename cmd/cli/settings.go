package cli

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// configFlag names the file of a command's settings.
const configFlag = "config"

// Settings lets the flags of a command be set in other ways too: what is not on the command
// line is taken from the environment, and what is not there from the file that --config
// names. prefix begins the names of the variables: with REPRISE_, --log-level is
// REPRISE_LOG_LEVEL.
func Settings(cmd *cobra.Command, prefix string) {
	cmd.Flags().String(configFlag, "", "YAML `file` with flags of this command by name, such as \"log-level: warn\"")
	cmd.Long += fmt.Sprintf(`

A flag that is not given is taken from the environment (--log-level from %s),
and what is not there from the file of --config.`, variable(prefix, "log-level"))
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error { return settle(cmd.Flags(), prefix) }
}

func variable(prefix, flag string) string {
	return prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func settle(flags *pflag.FlagSet, prefix string) error {
	var errs []error
	// set takes a value for a flag that has none yet.
	set := func(f *pflag.Flag, value, from string) {
		if f.Changed {
			return
		}
		if err := flags.Set(f.Name, value); err != nil {
			errs = append(errs, Usagef("%s: %v", from, err))
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		name := variable(prefix, f.Name)
		if value, given := os.LookupEnv(name); given && f.Name != "help" {
			set(f, value, name)
		}
	})
	file, err := flags.GetString(configFlag)
	if err != nil || file == "" {
		return errors.Join(append(errs, err)...)
	}
	values, err := readSettings(file)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		f := flags.Lookup(name)
		if f == nil || name == configFlag || name == "help" {
			errs = append(errs, Usagef("%s: %q is no flag of this command", file, name))
			continue
		}
		set(f, values[name], fmt.Sprintf("%s: %s", file, name))
	}
	return errors.Join(errs...)
}

// readSettings reads a file of flags, each with its value as on a command line. A list is
// the same as its elements with commas.
func readSettings(file string) (map[string]string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, Usagef("--config: %v", err)
	}
	var nodes map[string]yaml.Node
	if err := yaml.Unmarshal(data, &nodes); err != nil {
		return nil, Usagef("--config: %s is no YAML file of flags and values: %v", file, err)
	}
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		var list []string
		switch n := nodes[name]; n.Kind {
		case yaml.ScalarNode:
			values[name] = n.Value
			continue
		case yaml.SequenceNode:
			if err := n.Decode(&list); err == nil {
				values[name] = strings.Join(list, ",")
				continue
			}
		}
		return nil, Usagef("%s: the value of %s is neither a word, a number nor a list of them", file, name)
	}
	return values, nil
}
