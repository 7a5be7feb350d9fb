# Checkpoints that are cut, damaged or hostile: told in words, exit code 1 (or 2, 3 where the plan sees it).
. "$SOURCE/tests/cli/bad.inc"
printf '{"retort": 1, "stages": {"a": {"do": "init", "task": "synth/agreement", "layers": 1, "width": 8, "heads": 2, "ffn": 16}}}' > s.json
"$RETORT" run -q s.json > log 2>&1 || { cat log; exit 1; }
"$RETORT" export "$("$RETORT" ls | awk 'NR == 2 { print $1 }')" --hf good > log 2>&1 || { cat log; exit 1; }
n=$(od -An -tu8 -N8 good/model.safetensors | tr -d ' ')
tail -c +9 good/model.safetensors | head -c "$n" > header
tail -c +$((9 + n)) good/model.safetensors > data
printf '{"retort": 1, "stages": {"e": {"do": "evaluate", "model": "bad", "task": "synth/agreement", "split": "dev[0:8]"}}}' > e.json

le64() { # eight bytes, the lowest first
    v=$1
    for _ in 1 2 3 4 5 6 7 8; do
        printf '%b' "\\0$(printf %03o $((v & 255)))"
        v=$((v >> 8))
    done
}
fresh() { rm -rf bad; cp -r good bad; }
go() { tell "$1" run e.json; }
tensors() { # TITLE SED: the header changed
    fresh
    sed "$2" header > h
    cmp -s h header && echo "NOTHING CHANGED: $2"
    { le64 "$(wc -c < h)"; cat h data; } > bad/model.safetensors
    go "$1"
}
config() { # TITLE SED
    fresh
    sed "$2" good/config.json > bad/config.json
    cmp -s good/config.json bad/config.json && echo "NOTHING CHANGED: $2"
    go "$1"
}

fresh; go "as it was"
: > bad/model.safetensors; go "empty"
head -c 4 good/model.safetensors > bad/model.safetensors; go "cut in the length"
head -c 500 good/model.safetensors > bad/model.safetensors; go "cut in the header"
head -c 5000 good/model.safetensors > bad/model.safetensors; go "cut in the tensors"
{ printf '\377\377\377\377\377\377\377\177'; cat header data; } > bad/model.safetensors; go "length 2^63 - 1"
{ printf '\377\377\377\377\377\377\377\377'; cat header data; } > bad/model.safetensors; go "length 2^64 - 1"
{ le64 0; cat header data; } > bad/model.safetensors; go "length 0"
{ le64 12000; cat header data; } > bad/model.safetensors; go "length past the end"
tensors "the header is a list" 's/.*/[]/'
tensors "an empty header" 's/.*/{}/'
tensors "a broken header" 's/}}.*/}/'
tensors "size against shape" 's/\[0,1088\]/[0,2000]/'
tensors "overlapping" 's/\[1088,5184\]/[0,4096]/'
tensors "negative" 's/\[1088,5184\]/[-8,4088]/'
tensors "backwards" 's/\[1088,5184\]/[5184,1088]/'
tensors "half an offset" 's/\[1088,5184\]/[1088.5,5184]/'
tensors "one offset" 's/\[1088,5184\]/[1088]/'
tensors "huge offsets" 's/\[1088,5184\]/[9007199254740000,9007199254744096]/'
tensors "a shape beyond 2^64" 's/"shape":\[34,8\]/"shape":[4294967296,4294967296]/'
tensors "a negative shape" 's/"shape":\[34,8\]/"shape":[-34,-8]/'
tensors "eleven dimensions" 's/"shape":\[34,8\]/"shape":[34,8,1,1,1,1,1,1,1,1,1]/'
tensors "rows and columns changed" 's/"shape":\[34,8\]/"shape":[8,34]/'
tensors "a shape of text" 's/"shape":\[34,8\]/"shape":"34,8"/'
tensors "an unknown dtype" 's/"F32"/"F99"/'
tensors "whole numbers as weights" 's/"F32","shape":\[34,8\]/"I64","shape":[34,4]/'
tensors "no dtype" 's/"dtype":"F32","shape":\[34,8\]/"shape":[34,8]/'
tensors "a tensor is missing" 's/embeddings.word_embeddings.weight/embeddings.other.weight/'
tensors "a name twice" 's/"encoder.layer.0.attention.self.query.bias"/"embeddings.LayerNorm.bias"/'
tensors "a zero character in a name" 's/embeddings.word_embeddings.weight/\\u0000/'
tensors "an extra tensor that nobody reads is fine" 's/"embeddings.word_embeddings.weight":/"extra":{"dtype":"BOOL","shape":[0],"data_offsets":[0,0]},&/'

config "zero layers" 's/"num_hidden_layers": 1/"num_hidden_layers": 0/'
config "a billion layers" 's/"num_hidden_layers": 1/"num_hidden_layers": 1000000000/'
config "layers as text" 's/"num_hidden_layers": 1/"num_hidden_layers": "1"/'
config "more layers than tensors" 's/"num_hidden_layers": 1/"num_hidden_layers": 2/'
config "no number of layers" '/"num_hidden_layers"/d'
config "heads that do not divide" 's/"num_attention_heads": 2/"num_attention_heads": 3/'
config "zero heads" 's/"num_attention_heads": 2/"num_attention_heads": 0/'
config "another width" 's/"hidden_size": 8/"hidden_size": 16/'
config "a huge width" 's/"hidden_size": 8/"hidden_size": 1e300/'
config "a huge vocabulary" 's/"vocab_size": 34/"vocab_size": 2147483648/'
config "another vocabulary" 's/"vocab_size": 34/"vocab_size": 33/'
config "an unknown activation" 's/"hidden_act": "gelu"/"hidden_act": "swish"/'
config "NaN" 's/"layer_norm_eps": 1e-12/"layer_norm_eps": NaN/'
config "dropout of 1.5" 's/"hidden_dropout_prob": 0.1/"hidden_dropout_prob": 1.5/'
config "another kind of model" 's/"model_type": "bert"/"model_type": "gpt9"/'
fresh; rm bad/config.json; go "no config.json"
fresh; : > bad/config.json; go "an empty config.json"
fresh; rm bad/vocab.txt; go "no vocab.txt"
fresh; : > bad/vocab.txt; go "an empty vocab.txt"
fresh; printf '[PAD]\n[UNK]\n' > bad/vocab.txt; go "a vocab.txt without [CLS]"
fresh; cat good/vocab.txt good/vocab.txt > bad/vocab.txt; go "a vocab.txt that is too long"
fresh; { head -n 6 good/vocab.txt; printf '\377\n'; } > bad/vocab.txt; go "a vocab.txt that is not UTF-8"
fresh; echo '{"do_lower_case": 3}' > bad/tokenizer_config.json; go "a tokenizer_config.json of odd types"
fresh; rm bad/model.safetensors; go "no tensors"
fresh; rm bad/model.safetensors; : > bad/pytorch_model.bin; go "a pickle alone"
fresh; rm bad/model.safetensors; echo '{"weight_map": {"x": "../good/model.safetensors"}}' > bad/model.safetensors.index.json
go "a shard outside of the folder"
echo '{"weight_map": {"x": "none.safetensors"}}' > bad/model.safetensors.index.json; go "a shard that is missing"
echo '{"weight_map": 3}' > bad/model.safetensors.index.json; go "an index of odd types"
rm -rf bad; go "no folder"
: > bad; go "a file"

# Numbers that are none: the run is done, and says so, then and later.
fresh
{ le64 "$n"; cat header; head -c 1088 data; printf '\0\0\300\177\0\0\200\177'; tail -c +1097 data; } > bad/model.safetensors
go "NaN and infinity among the weights"
"$RETORT" show latest | grep '^warning'
