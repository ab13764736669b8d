module tidegate.dev/tests/cluster/launcher

go 1.26.0
