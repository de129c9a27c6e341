"""Every key is documented, checked, and survives the way from YAML to a Configuration and back."""

import ast
import dataclasses
import inspect
import itertools
import json
import re
import types
import typing
from pathlib import Path

import pytest
import yaml

from mindspore_dpus import systems
from mindspore_dpus.cli.parser import OneLineParser
from mindspore_dpus.cli.systems.classification_simulate import main as simulate_command
from mindspore_dpus.core.configuration import config_parser, dump_config, parse, parse_file
from mindspore_dpus.core.errors import UserError
from mindspore_dpus.core.settings import plain, results
from mindspore_dpus.data.settings import DataSettings
from mindspore_dpus.data.simulate.radiograph_settings import RadiographSettings
from mindspore_dpus.systems import load_config
from mindspore_dpus.systems.classification.configuration import Configuration, check_configuration
from tests.support import configuration, parse_config

CONFIGS = Path(__file__).parents[2] / "configs"
# Others are experiments.
RUNS = [
    path
    for path in sorted(CONFIGS.rglob("*.yaml"))
    if not re.search(r"^(axes|search):", path.read_text(), re.M)
]


def leaves(section=Configuration, prefix=""):
    """(dotted key, dataclass, name, type) of every key that is no section."""
    for name, kind in typing.get_type_hints(section).items():
        if dataclasses.is_dataclass(kind):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield prefix + name, section, name, kind


def members(kind):
    """The plain types of a union or tuple; Literals are none of them."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) in (typing.Union, tuple):
        return {member for part in typing.get_args(kind) for member in members(part)}
    return {kind}


def field_docs(section):
    """Field name -> the string below the field in the source."""
    docs = {}
    body = ast.parse(inspect.getsource(section)).body[0].body
    for field, text in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            docs[field.target.id] = ast.literal_eval(text.value)
    return docs


def squeezed(text):
    return "".join(text.split())


@pytest.fixture
def write(tmp_path):
    """Write a YAML file and return its name."""

    def write(text, name="given.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="module")
def help_text():
    return config_parser(Configuration, "A description.").format_help()


@pytest.mark.parametrize(("key", "section", "name"), [leaf[:3] for leaf in leaves()])
def test_every_key_is_documented_in_help(help_text, key, section, name):
    doc = field_docs(section)[name]
    assert len(doc.split()) >= 3
    assert f"--{key}" in help_text
    assert squeezed(doc.rstrip(".")) in squeezed(help_text)


def test_every_section_is_documented_in_help(help_text):
    for kind in typing.get_type_hints(Configuration).values():
        if dataclasses.is_dataclass(kind):
            assert squeezed(kind.__doc__.rstrip(".")) in squeezed(help_text)
    assert "A description." in help_text


def test_the_defaults_are_those_of_the_dataclasses():
    expected = configuration(data=DataSettings(root="images"))
    assert parse_config(["--data.root", "images"]) == expected


def test_nothing_of_one_call_is_left_for_the_next(write):
    given = write("training: {epochs: 7, augment: {rotation: 3}}\nsampling: {n_subsets: 2}\n")
    parse_config([f"--config={given}", "--data.root=x"])
    with pytest.raises(UserError, match=r"training\.epochs"):
        parse_config([f"--config={given}", "--seed=5", "--training.epochs=many"])
    assert parse_config(["--data.root=z"]) == configuration(data=DataSettings(root="z"))


def test_the_command_line_goes_before_the_file_and_the_file_before_the_defaults(write):
    first = write("seed: 1\ntraining: {epochs: 3, batch_size: 8}\ndata: {root: images}\n", "first.yaml")
    second = write("training: {epochs: 4, weight_decay: 0.5}\n", "second.yaml")
    config = parse_config(
        ["--config", first, "--config", second, "--training.augment.rotation", "5", "--seed", "2"]
    )
    assert (config.seed, config.data.root) == (2, "images")
    training = config.training
    assert (training.epochs, training.batch_size, training.weight_decay) == (4, 8, 0.5)
    assert (training.augment.rotation, training.learning_rate) == (5.0, 1e-3)


@pytest.mark.parametrize(
    "args",
    [
        ["--data.root", "images"],
        [
            "--data.root=images with spaces/\u00fc: x",
            "--images.window=[-5,1e3]",
            "--images.value_range=window",
            "--features.n_components=null",
            "--features.layer=layer3",
            "--sampling.n_clusters=auto",
            "--sampling.proportion=0.25",
            "--model.weights_dirs=[a,b]",
            "--model.pretrained=null",
            "--device.jit=true",
            "--training.augment.horizontal_flip=true",
            "--data.positive='yes'",
            "--data.majority='007'",
        ],
        ["--simulate.enabled=true", "--simulate.train=[9,3]", "--simulate.bits=16"],
    ],
    ids=["defaults", "own images", "simulated"],
)
def test_a_dumped_configuration_loads_equal(tmp_path, args):
    config = parse_config(args)
    path = tmp_path / "config.yaml"
    path.write_text(dump_config(config), encoding="utf-8")
    assert load_config(path) == config
    assert list(yaml.safe_load(dump_config(config))) == [
        f.name for f in dataclasses.fields(Configuration)
    ]


@pytest.mark.parametrize("path", RUNS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_shipped_configurations_parse(path):
    values = yaml.safe_load(path.read_text())
    simulated = values.get("simulate", {}).get("enabled")
    needs_root = not simulated and "root" not in values.get("data", {})
    more = ["--data.root", "images"] if needs_root else []
    config = systems.parse_config(["--config", str(path), *more])
    assert config.system == values["system"]


def test_configurations_are_shipped():
    names = {path.relative_to(CONFIGS).as_posix() for path in RUNS}
    assert names >= {"quickstart.yaml", "castings/mobilenet_v2.yaml", "castings/resnet18.yaml"}


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("epoch: 3", "epoch"),
        ("training: {epoch: 3}", "epoch"),
        ("training: {augment: {flip: true}}", "flip"),
        ("training: {epochs: 3.5}", r"training\.epochs"),
        ("training: {epochs: many}", r"training\.epochs"),
        ("training: {augment: {rotation: far}}", r"training\.augment\.rotation"),
        ("images: {channels: 2}", r"images\.channels"),
        ("images: {value_range: auto}", r"images\.value_range"),
        ("images: {window: [1, 2, 3]}", r"images\.window"),
        ("data: {positive: [1]}", r"data\.positive"),
        ("sampling: {proportion: some}", r"sampling\.proportion"),
        ("sampling: {baseline: 2}", r"sampling\.baseline"),
        ("model: {weights_dirs: weights}", r"model\.weights_dirs"),
        ("seed: null", "seed"),
        ("output: null", "output"),
        ("images: {channels: null}", r"images\.channels"),
        ("training: 5", "training"),
        ("training: {augment: 5}", r"training\.augment"),
        ("sampling: []", "sampling"),
    ],
)
def test_unknown_keys_and_wrong_types_are_named(write, text, name):
    with pytest.raises(UserError, match=rf"(?s)configuration: .*{name}"):
        parse_config(["--config", write(text), "--data.root", "images"])


def test_a_wrong_type_is_said_as_the_parser_says_it(write):
    with pytest.raises(UserError) as caught:
        parse_config(["--config", write("images: {bits: 12}"), "--data.root", "images"])
    assert str(caught.value) == (
        'configuration: Parser key "images.bits": Expected a typing.Literal[8, 16]. Got value: 12 '
        "(--help lists every key)"
    )


@pytest.mark.parametrize("text", ["training: {epoch: 3}", "seed: x"])
def test_other_messages_of_the_parser_are_one_line(write, text):
    with pytest.raises(UserError) as caught:
        parse_config(["--config", write(text)])
    assert str(caught.value).startswith("configuration: ")
    assert str(caught.value).endswith(" (--help lists every key)")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: " + 30_000 * "[" + 30_000 * "]", "nested too deeply"),
        ("data: 3", "data is 3; it must be a section of keys"),
        ("seed: " + 5000 * "9", "limit .4300 digits"),
        ("x: &a [1, 2]\ndata: {classes: *a}", r"aliases \(\*name\) are not read"),
        ("data: {classes: [" + 40_000 * "x," + "]}", "longer than 65536"),
        ("seed: !!python/object/apply:os.getpid []", "could not determine a constructor"),
    ],
    ids=["deep", "section", "digits", "alias", "long", "tag"],
)
def test_what_would_hang_or_run_code_is_one_line(write, text, message):
    with pytest.raises(UserError, match=f"^configuration: .*{message}") as caught:
        parse_config(["--config", write(text), "--data.root", "images"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "option",
    [
        "--data=hostile.Any",
        '--data={"class_path": "hostile.Any"}',
        "--training.augment=hostile.Any",
        "--config=FOLDER/config.yaml",
    ],
)
def test_nothing_is_imported_because_a_value_names_it(tmp_path, monkeypatch, option):
    (tmp_path / "hostile.py").write_text("raise SystemExit('imported')")
    (tmp_path / "config.yaml").write_text("data: {class_path: hostile.Any}")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match="^configuration: .*not allowed"):
        parse_config(["--data.root=images", option.replace("FOLDER", str(tmp_path))])


@pytest.mark.parametrize("option", ["--training.epoch", "--nonsense"])
def test_unknown_options_are_named(option):
    with pytest.raises(UserError, match=f"configuration: .*{option} .*--help lists every key"):
        parse_config(["--data.root", "images", option, "3"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read"),
        (b"training: {epochs", "is not YAML"),
        (b"- 1\n", "given"),
        (b"", "given"),
        (b"\xff\xfe\x00binary", "is not text"),
    ],
    ids=["missing", "torn", "list", "empty", "binary"],
)
def test_an_unreadable_file_is_named(tmp_path, content, message):
    path = tmp_path / "given.yaml"
    if content is not None:
        path.write_bytes(content)
    for read in (lambda: load_config(path), lambda: parse_config(["--config", str(path)])):
        with pytest.raises(UserError, match=message):
            read()


def number_keys(*kinds):
    """(key, how many numbers it takes) of the keys with such a type; where text is taken too, a number is a
    name."""
    return [
        (key, len(typing.get_args(kind)) if typing.get_origin(kind) is tuple else 0)
        for key, _, _, kind in leaves()
        if members(kind) & set(kinds) and str not in members(kind)
    ]


def check_with(key, value):
    """Check a configuration of which one key is another."""
    check_configuration(_replaced(configuration(data=DataSettings(root="images")), key, value))


def _replaced(section, key, value):
    name, _, rest = key.partition(".")
    if rest:
        value = _replaced(getattr(section, name), rest, value)
    return dataclasses.replace(section, **{name: value})


@pytest.mark.parametrize(("key", "length"), number_keys(int, float))
def test_negative_numbers_are_refused_wherever_a_number_is_taken(key, length):
    with pytest.raises(UserError, match=f"configuration: {key} is "):
        check_with(key, (-1,) * length if length else -1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("key", "length"), number_keys(float))
def test_nan_and_infinity_are_refused_wherever_a_number_is_taken(key, length, value):
    with pytest.raises(UserError, match=f"configuration: {key} is "):
        check_with(key, (0.0,) * (length - 1) + (value,) if length else value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", 2**32),
        ("images.size", 15),
        ("images.max_pixels", 0),
        ("images.max_pixels", 2**30 + 1),
        ("images.percentiles", (0, 101)),
        ("images.percentiles", (50, 50)),
        ("images.window", (10, 10)),
        ("images.window", (10, 5)),
        ("simulate.train", (0, 5)),
        ("simulate.size", 15),
        ("simulate.proportions", (0, 1, 1)),
        ("simulate.flaw_size", (0.1, 0.6)),
        ("simulate.flaw_size", (0.2, 0.1)),
        ("simulate.flaw_contrast", (0.1, 1.1)),
        ("simulate.flaw_contrast", (0.5, 0.2)),
        ("simulate.photons", 0),
        ("simulate.scatter", 1),
        ("split.val_size", 0),
        ("split.test_size", 0),
        ("split.minority_fraction", 0),
        ("split.minority_fraction", 1.1),
        ("features.n_components", 0),
        ("features.batch_size", 0),
        ("sampling.n_clusters", 0),
        ("sampling.proportion", 0),
        ("sampling.proportion", 1.5),
        ("sampling.n_subsets", 0),
        ("training.epochs", 0),
        ("training.batch_size", 1),
        ("training.patience", 0),
        ("training.learning_rate", 0),
        ("training.augment.rotation", 181),
        ("training.lr_range.steps", 9),
        ("sampling.cluster_range", [5, 0]),
        ("model.unfreeze_every", 0),
        ("model.unfreeze_parts", 0),
        ("data.classes", ["a"]),
        ("training.augment.crop", 0),
        ("training.augment.shear", 90),
        ("training.augment.shift", 1),
        ("training.augment.warp", 0.5),
        ("training.augment.hue", 0.6),
        ("training.augment.saturation", 1.1),
        ("training.augment.brightness", 1),
        ("training.augment.contrast", 1),
        ("evaluation.threshold", 1.1),
        ("evaluation.confidence", 0),
        ("evaluation.confidence", 1),
        ("decision.recall", 0),
        ("decision.recall", 1),
        ("decision.cost_miss", 0),
        ("decision.cost_false_call", 0),
        ("decision.threshold", 1.1),
        ("decision.defect_rate", 0),
        ("decision.defect_rate", 1),
    ],
)
def test_values_out_of_range_are_named(key, value):
    with pytest.raises(UserError, match=f"configuration: {key} is "):
        check_with(key, value)


@pytest.mark.parametrize(
    ("args", "keys"),
    [
        ([], ["data.root"]),
        (["--simulate.enabled=true", "--data.root=x"], ["simulate.enabled", "data.root"]),
        (["--simulate.enabled=true", "--data.manifest=x"], ["simulate.enabled"]),
        (
            ["--data.root=x", "--data.positive=a", "--data.majority=a"],
            ["data.positive", "data.majority"],
        ),
        (
            ["--data.root=x", "--sampling.baseline=true", "--sampling.strategy=none"],
            ["sampling.baseline", "strategy"],
        ),
        (
            ["--data.root=x", "--split.val_size=0.6", "--split.test_size=0.5"],
            ["split.val_size is 0.6", "split.test_size is 0.5", "below 1"],
        ),
        (["--data.root=x", "--split.val_size=0.5", "--split.test_size=0.5"], ["their sum"]),
        (["--data.root=x", "--decision.rule=cost"], ["decision.rule cost needs decision.cost_miss"]),
        (
            ["--data.root=x", "--decision.rule=cost", "--decision.cost_miss=9"],
            ["decision.rule cost needs decision.cost_false_call"],
        ),
        (["--data.root=x", "--decision.rule=fixed"], ["decision.rule fixed needs decision.threshold"]),
        (
            ["--data.root=x", "--decision.threshold=0.4"],
            ["decision.threshold", "decision.rule to fixed"],
        ),
        (
            ["--data.root=x", "--decision.rule=f1", "--decision.recall=0.9"],
            ["decision.recall has no effect", "f1", "recall or assured_recall"],
        ),
        (["--data.root=x", "--decision.cost_miss=9"], ["decision.cost_miss", "decision.rule to cost"]),
        (["--data.root=x", "--decision.size_columns=[]"], ["decision.size_columns is []"]),
        (
            ["--data.root=x", "--device.data_parallel=true", "--loss.name=seesaw"],
            ["device.data_parallel", "loss.name seesaw", "cross_entropy or focal"],
        ),
        (
            ["--data.root=x", "--decision.defect_rate=0.1", "--loss.name=focal"],
            ["decision.defect_rate", "loss.name focal", "decision.calibration"],
        ),
        (
            ["--data.root=x", "--decision.defect_rate=0.1", "--loss.options.label_smoothing=0.1"],
            ["decision.defect_rate", "loss.options.label_smoothing", "decision.calibration"],
        ),
        (
            ["--data.root=x", "--model.fine_tuning=gradual", "--training.epochs=4"],
            ["training.epochs is 4", "gradual", "model.unfreeze_every", "model.unfreeze_parts"],
        ),
        (
            ["--data.root=x", "--model.fine_tuning=gradual", "--training.steps=900"],
            ["gradual counts in epochs", "training.epochs instead of training.steps"],
        ),
        (["--data.root=x", "--training.steps=0"], ["training.steps is 0", "null, or at least 1"]),
        (
            ["--data.root=x", "--training.lr_range.low=0.1", "--training.lr_range.high=0.1"],
            ["training.lr_range.low is 0.1", "high is 0.1"],
        ),
        (["--data.root=x", "--training.augment.hue=0.1"], ["training.augment.hue", "images.channels 1"]),
        (["--data.root=x", "--training.augment.saturation=0.1"], ["saturation", "images.channels 1"]),
    ],
)
def test_impossible_combinations_name_their_keys(args, keys):
    with pytest.raises(UserError, match="configuration: ") as caught:
        parse_config(args)
    assert [key for key in keys if key not in str(caught.value)] == []


@pytest.mark.parametrize(("given", "value"), [("auto", "auto"), ("7", 7), ("1", 1)])
def test_the_number_of_groups_is_a_number_or_auto(given, value):
    assert parse_config(["--data.root=x", f"--sampling.n_clusters={given}"]).sampling.n_clusters == value


def test_numbers_of_images_are_no_shares():
    config = parse_config(["--data.root=x", "--split.val_size=0.6", "--split.test_size=50"])
    assert (config.split.val_size, config.split.test_size) == (0.6, 50)


EFFECTS = [
    *(
        ("--sampling.draw=covering", "sampling.strategy", strategy, "dpus")
        for strategy in ("random_under", "random_over", "none")
    ),
    ("--model.freeze_layers=3", "model.fine_tuning", "shallow", "deep or gradual"),
    ("--training.ray_cpus=2", "training.executor", "local", "ray"),
    ("--device.data_parallel=true", "training.executor", "ray", "local"),
    *(
        (option, key, value, other)
        for option in ("--device.processes=2", "--device.device_id=1")
        for key, value, other in (
            ("training.executor", "ray", "local"),
            ("device.data_parallel", "true", "false"),
        )
    ),
]


@pytest.mark.parametrize(("option", "key", "value", "others"), EFFECTS)
def test_settings_without_effect_are_refused_with_what_they_need(option, key, value, others):
    with pytest.raises(UserError) as caught:
        parse_config(["--data.root=x", option, f"--{key}={value}"])
    given = option[2:].split("=")[0] + (" covering" if "draw" in option else "")
    assert str(caught.value) == (
        f"configuration: {given} has no effect with {key} {value}; "
        f"leave it out, or set {key} to {others}"
    )
    for other in others.split(" or "):
        parse_config(["--data.root=x", option, f"--{key}={other}"])


@pytest.mark.parametrize(
    ("option", "loss", "message"),
    [
        ("class_weights=[1,2]", "cross_entropy", "no option of cross_entropy; it has label_smoothing"),
        ("class_weights=[1,2]", "seesaw", "no option of seesaw; it has p, q"),
        ("label_smoothing=0.1", "focal", "no option of focal; it has gamma, class_weights"),
        ("label_smoothing=1", "cross_entropy", "is 1; it must be at least 0 and below 1"),
        ("gamma=-1", "focal", "is -1; it must be at least 0"),
        ("class_weights=[1,0]", "focal", "it must be above 0"),
    ],
)
def test_an_option_that_a_loss_does_not_have_is_refused(option, loss, message):
    with pytest.raises(UserError, match=f"configuration: loss.options.*{re.escape(message)}"):
        parse_config(["--data.root=x", f"--loss.name={loss}", f"--loss.options.{option}"])


@pytest.mark.parametrize(("name", "value"), [("unknown", "x"), ("empty", "")])
def test_an_unknown_system_is_an_error(name, value):
    with pytest.raises(UserError, match="system"):
        systems.parse_config([f"--system={value}", "--data.root=x"])


def test_a_forgotten_system_is_an_error():
    with pytest.raises(UserError, match=r"system is missing; it must be classification"):
        systems.parse_config(["--data.root=x"])


def test_sections_cannot_be_changed():
    config = parse_config(["--data.root=x"])
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.training.epochs = 3


def test_places_and_limits_change_no_result():
    one = parse_config(["--data.root=x", "--output=a", "--images.max_pixels=7", "--training.ray_cpus=1"])
    other = parse_config(["--data.root=y", "--output=b", "--data.cache_dir=c"])
    assert results(one) == results(other)
    assert results(one) != results(parse_config(["--data.root=x", "--seed=1"]))


def test_simulate_takes_the_keys_of_its_section(tmp_path, capsys):
    options = [f"--output={tmp_path / 'here'}", "--seed=4", "--train=[2,1]", "--val=[0,0]"]
    assert simulate_command([*options, "--test=[0,0]", "--bits=16", "--size=16"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "here" / "manifest.csv")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "output"),
        (["--output", "here", "--scater", "0.1"], "--scater"),
        (["--output", "here", "--size", "big"], "size"),
        (["--output", "here", "--size", "8"], "size is 8; it must be at least 16"),
        (["--output", "here", "--enabled", "false"], "--enabled"),
        (["--output", "here", "--bits", "12"], "bits"),
        (["--output", "here", "--seed", "x"], "seed"),
    ],
)
def test_simulate_refuses_what_it_cannot_use(args, message, capsys):
    assert simulate_command(args) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_plain_values_are_what_json_gives_back():
    assert plain([(1, 2), RadiographSettings(train=(3, 4))])[0] == [1, 2]
    assert json.loads(json.dumps(plain(configuration()))) == plain(configuration())


def test_a_small_parser_raises_instead_of_leaving():
    parser = OneLineParser(description="x")
    parser.add_argument("--run", required=True)
    with pytest.raises(UserError, match=r"--run \(--help lists the options\)"):
        parser.parse_args([])


def test_classes_may_be_numbers_without_quotes(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text(
        "system: classification\ndata: {root: x, positive: 1, majority: 0, classes: [0, 1, b]}\n"
    )
    data = parse_file(Configuration, file).data
    assert (data.positive, data.majority, data.classes) == ("1", "0", ("0", "1", "b"))
    options = ["--system=classification", "--data.root=x", "--data.positive=01", "--data.majority=0"]
    assert parse(Configuration, options).data.positive == "01"
    again = tmp_path / "again.yaml"
    again.write_text(dump_config(parse_file(Configuration, file)))
    assert parse_file(Configuration, again).data == data


@pytest.mark.parametrize("keys", ["positive: no", "positive: 1.5", "classes: [no, yes]", "root: 1"])
def test_text_that_yaml_takes_for_something_else_needs_quotes(tmp_path, keys):
    file = tmp_path / "c.yaml"
    file.write_text(f"system: classification\ndata: {{{keys}}}\n")
    with pytest.raises(UserError, match="needs quotes in YAML"):
        parse_file(Configuration, file)
