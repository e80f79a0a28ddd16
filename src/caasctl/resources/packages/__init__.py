"""What is installed on a host: repositories with their keys, packages by apt, holds, releases' tarballs."""
