"""A run's result.json or config.json that is damaged, in every command."""

import pytest

from hdc_jax import main, report
from hdc_jax.errors import DataError
from hdc_jax.runs import results
from tests import small

DAMAGE = {
  "cut short": b'{"task": "retrieve", "rows": [',
  "empty": b"",
  "no text": b"\xff\xfe{}",
  "a list": b"[1, 2]",
  "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", [results.RESULT, results.CONFIG])
@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_named(name, damage, tmp_path):
  read = {
    results.RESULT: results.read_result,
    results.CONFIG: results.read_config,
  }[name]
  assert read(tmp_path) == {}
  (tmp_path / name).write_bytes(DAMAGE[damage])
  for each in (read, results.read_owner):
    with pytest.raises(DataError, match=rf"/{name} is damaged: .+: remove it"):
      each(tmp_path)
  with pytest.raises(DataError, match=rf"/{name} is damaged"):
    report.write(tmp_path, runs=[tmp_path])


# ml_collections reads config files by it.
@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
@pytest.mark.parametrize("name", [results.RESULT, results.CONFIG])
def test_a_command_ends_with_one_line(name, prepared, tmp_path, capsys):
  (tmp_path / name).write_bytes(b"{")
  code = main.main(
    [
      f"--config={small.__file__.rpartition('/tests/')[0]}/configs/tiny.py",
      f"--config.data.path={prepared}",
      f"--workdir={tmp_path}",
    ]
  )
  (line,) = capsys.readouterr().err.strip().splitlines()
  assert code == DataError.exit_code
  assert line.startswith(f"error: {tmp_path}/{name} is damaged: ")
